/* SPDX-License-Identifier: MIT
 *
 * What memory does a process have to itself that uses a log, and the flusher? The private pages of
 * /proc/PID/smaps after some hundred MiB have gone through the log, without those of the log's
 * shared objects: pages there count as private, too, while one process alone has touched them.
 *
 * usage: footprint LOG TOTAL. Prints MiB: producer, flusher. Knows the public header. */
#include "log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { RECORD_BYTES = 1000, LINE_BYTES = 4352, PATH_BYTES = 64 };

/* A line of smaps that begins a mapping has its addresses first, as in 7f00-7f40 rw-s ... */
static bool begins_mapping(const char *line)
{
    unsigned long from, to;
    return sscanf(line, "%lx-%lx ", &from, &to) == 2;
}

static double private_mib(pid_t process)
{
    char path[PATH_BYTES], line[LINE_BYTES];
    unsigned long kib, sum = 0;
    bool is_shared_object = false;
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)process);
    FILE *smaps = fopen(path, "r");
    if (smaps == NULL)
        end(path, strerror(errno));
    while (fgets(line, sizeof line, smaps) != NULL) {
        if (begins_mapping(line))
            is_shared_object = strstr(line, " /dev/shm/") != NULL;
        else if (!is_shared_object && (sscanf(line, "Private_Clean: %lu", &kib) == 1 ||
                                       sscanf(line, "Private_Dirty: %lu", &kib) == 1))
            sum += kib;
    }
    fclose(smaps);
    return (double)sum / 1024;
}

int main(int count, char **words)
{
    const char *usage = "LOG TOTAL";
    static const char record[RECORD_BYTES];
    const char *path = text_argument(count, words, 1, usage);
    uint64_t records = number_argument(count, words, 2, usage) / RECORD_BYTES;
    shmwal *log = log_open(path, 0);
    for (uint64_t i = 0; i < records; i++)
        log_append(log, record, sizeof record);
    report("producer", private_mib(getpid()));
    report("flusher", private_mib(log_flusher_pid(path)));
    log_sync(log);
    shmwal_close(log);
    return 0;
}
