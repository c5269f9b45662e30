/* SPDX-License-Identifier: MIT
 *
 * How fast do bytes become durable? Producer processes append as fast as they can, one flusher
 * writes; the clock runs from their common start to the instant at which the last record is
 * durable.
 *
 * usage: bandwidth LOG BYTES TOTAL PRODUCERS. Prints MB/s (10^6 bytes): payload, what the users
 * appended, and log, with what the format adds. Knows the public header. */
#include "log.h"

#include <stdlib.h>
#include <string.h>

struct job {
    shmwal *log;
    const char *record;
    size_t length;
    uint64_t records;
};

static void prepare(void *context, unsigned index)
{
    const struct job *job = context;
    (void)index;
    log_attach(job->log);
}

static void produce(void *context, unsigned index)
{
    const struct job *job = context;
    (void)index;
    for (uint64_t i = 0; i < job->records; i++)
        log_append(job->log, job->record, job->length);
}

static char *make_record(size_t length)
{
    char *record = malloc(length + 1);
    if (record == NULL)
        end("record", "no memory");
    memset(record, 0x5a, length);
    return record;
}

int main(int count, char **words)
{
    const char *usage = "LOG BYTES TOTAL PRODUCERS";
    const char *path = text_argument(count, words, 1, usage);
    size_t length = number_argument(count, words, 2, usage);
    uint64_t total = number_argument(count, words, 3, usage);
    unsigned producers = (unsigned)number_argument(count, words, 4, usage);
    if (length == 0 || producers == 0)
        end("BYTES and PRODUCERS", "at least 1");
    char *record = make_record(length);
    shmwal *log = log_open(path, 0);
    struct job job = {log, record, length, (total + length * producers - 1) / length / producers};
    struct task task = {WORKER_PROCESSES, producers, prepare, produce, &job};

    struct run *run = run_begin(&task);
    int64_t start = now_ns();
    run_end(run);
    log_sync(log);
    double seconds = (double)(now_ns() - start) / 1e9;

    double payload = (double)(job.records * producers) * (double)length;
    report("payload", payload / 1e6 / seconds);
    report("log", (double)shmwal_reserved_lsn(log) / 1e6 / seconds);
    shmwal_close(log);
    free(record);
    return 0;
}
