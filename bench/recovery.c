/* SPDX-License-Identifier: MIT
 *
 * How soon can a log be used after everything was killed? Processes fill the log to TOTAL bytes, if
 * it is not that large yet, and append on; they and the flusher are killed with SIGKILL in the
 * middle of it; the pages of the log's files are dropped from the page cache. Then the clock runs
 * from the open to the first durable append, and again for a reader that begins at the end.
 *
 * usage: recovery LOG TOTAL. Prints milliseconds: ready, reader; and the log's MiB on disk as mib.
 * Knows the public header. */
#include "log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RECORD_BYTES = 1000, PATH_BYTES = 4096, MORE_BYTES = 16 << 20, LOOK_NS = 1000000 };

static shmwal_status status_of(const char *path)
{
    shmwal_status status = {.size = sizeof status};
    end_if(shmwal_get_status(path, &status), "status", shmwal_error());
    return status;
}

static pid_t start_producer(const char *path)
{
    pid_t process = fork();
    end_if(process, "fork", strerror(errno));
    if (process > 0)
        return process;
    static const char record[RECORD_BYTES];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    shmwal *log = log_open(path, 0);
    for (;;)
        log_append(log, record, sizeof record);
}

static void wait_until_filled(const char *path, uint64_t lsn)
{
    shmwal *log = log_open(path, 0);
    while (shmwal_lsn(log, SHMWAL_DURABLE) < lsn)
        sleep_until_ns(now_ns() + LOOK_NS);
    shmwal_close(log);
}

static void kill_flusher(pid_t flusher)
{
    int fd = pidfd_open(flusher, 0);
    end_if(fd, "pidfd_open of the flusher", strerror(errno));
    struct pollfd end_of_it = {.fd = fd, .events = POLLIN};
    end_if(pidfd_send_signal(fd, SIGKILL, NULL, 0), "kill of the flusher", strerror(errno));
    poll(&end_of_it, 1, -1);
    close(fd);
}

/* Of the log's files; what the kernel knows of their names and blocks may stay. */
static void drop_pages(const char *path)
{
    char directory[PATH_BYTES], file[2 * PATH_BYTES];
    snprintf(directory, sizeof directory, "%s/segments", path);
    DIR *listing = opendir(directory);
    if (listing == NULL)
        end(directory, strerror(errno));
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        snprintf(file, sizeof file, "%s/%s", directory, entry->d_name);
        int fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            fdatasync(fd);
            posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
            close(fd);
        }
    }
    closedir(listing);
}

static uint64_t report_ready(const char *path)
{
    int64_t start = now_ns();
    shmwal *log = log_open(path, 0);
    uint64_t lsn = log_append(log, "first", 5);
    log_wait(log, lsn);
    report("ready", (double)(now_ns() - start) / 1e6);
    shmwal_close(log);
    return lsn;
}

static void report_reader(const char *path, uint64_t lsn)
{
    shmwal_reader *reader;
    shmwal_record record;
    int64_t start = now_ns();
    end_if(shmwal_reader_open(path, lsn - 64, &reader), "reader", shmwal_error());
    if (shmwal_reader_next(reader, &record) != 1 || record.lsn != lsn)
        end("reader", "the last record did not come back");
    report("reader", (double)(now_ns() - start) / 1e6);
    shmwal_reader_close(reader);
}

int main(int count, char **words)
{
    const char *usage = "LOG TOTAL";
    const char *path = text_argument(count, words, 1, usage);
    uint64_t total = number_argument(count, words, 2, usage);
    shmwal_close(log_open(path, 0));
    uint64_t begun = status_of(path).durable_lsn;
    uint64_t goal = begun + MORE_BYTES > total ? begun + MORE_BYTES : total;
    pid_t producer = start_producer(path);
    wait_until_filled(path, goal);
    pid_t flusher = (pid_t)status_of(path).flusher_pid;
    kill(producer, SIGKILL);
    kill_flusher(flusher);
    waitpid(producer, NULL, 0);

    drop_pages(path);
    uint64_t lsn = report_ready(path);
    report_reader(path, lsn);
    report("mib", (double)status_of(path).bytes / (1 << 20));
    return 0;
}
