/* SPDX-License-Identifier: MIT
 *
 * How fast do bytes become durable? Producer processes append as fast as they can, one flusher
 * writes; the clock runs from their common start to the instant at which the last record is
 * durable. A log that was made with --spare-bytes has all of its spares by then.
 *
 * usage: bandwidth LOG BYTES TOTAL PRODUCERS. Prints MB/s (10^6 bytes): payload, what the users
 * appended, and log, with what the format adds; and seconds of processor time for each GB (10^9
 * bytes) of payload: flusher, its own, and all, the producers' too; and open, the milliseconds that
 * the first process took to open the log. Knows the public header. */
#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

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

static double spent_s(int who)
{
    struct rusage usage;
    getrusage(who, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
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
    int64_t opening = now_ns();
    shmwal *log = log_open(path, 0);
    report("open", (double)(now_ns() - opening) / 1e6);
    log_await_spares(path);
    struct job job = {log, record, length, (total + length * producers - 1) / length / producers};
    struct task task = {WORKER_PROCESSES, producers, prepare, produce, &job};

    struct run *run = run_begin(&task);
    int64_t start = now_ns(), cpu_start = log_flusher_cpu_ns(path);
    run_end(run);
    log_sync(log);
    double seconds = (double)(now_ns() - start) / 1e9;

    double flusher_s = (double)(log_flusher_cpu_ns(path) - cpu_start) / 1e9;
    double payload = (double)(job.records * producers) * (double)length;
    report("payload", payload / 1e6 / seconds);
    report("log", (double)shmwal_reserved_lsn(log) / 1e6 / seconds);
    report("flusher", flusher_s / (payload / 1e9));
    report("all", (flusher_s + spent_s(RUSAGE_CHILDREN)) / (payload / 1e9));
    shmwal_close(log);
    free(record);
    return 0;
}
