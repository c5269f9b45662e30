/* SPDX-License-Identifier: MIT
 *
 * What do many waiters get together? Each appends a record, waits until just that one is durable,
 * and begins again; the flusher's group commits serve them all. Closed loops: a stall counts once
 * for each waiter that it holds up.
 *
 * usage: waiters LOG threads|processes COUNT MILLISECONDS. Prints commits a second as rate, and
 * microseconds as wait.p50 and so on. Knows the public header. */
#include "histogram.h"
#include "log.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

enum { RECORD_BYTES = 100 };

struct job {
    shmwal *log;
    atomic_bool over;
    struct histogram *histograms; /* one a waiter, shared with processes */
};

static void prepare(void *context, unsigned index)
{
    const struct job *job = context;
    (void)index;
    log_attach(job->log);
}

static void wait_often(void *context, unsigned index)
{
    struct job *job = context;
    char record[RECORD_BYTES] = {0};
    int64_t start = now_ns();
    while (!atomic_load(&job->over)) {
        log_wait(job->log, log_append(job->log, record, sizeof record));
        int64_t end = now_ns();
        histogram_add(&job->histograms[index], end - start);
        start = end;
    }
}

int main(int count, char **words)
{
    static struct histogram all;
    const char *usage = "LOG threads|processes COUNT MILLISECONDS";
    const char *path = text_argument(count, words, 1, usage);
    const char *kind = text_argument(count, words, 2, usage);
    unsigned waiters = (unsigned)number_argument(count, words, 3, usage);
    int64_t length_ns = (int64_t)number_argument(count, words, 4, usage) * 1000000;
    bool threads = strcmp(kind, "threads") == 0;
    shmwal *log = log_open(path, 0);
    struct job *job = shared_memory(sizeof *job);
    job->log = log;
    job->histograms = shared_memory(waiters * sizeof job->histograms[0]);

    enum worker_kind workers = threads ? WORKER_THREADS : WORKER_PROCESSES;
    struct task task = {workers, waiters, prepare, wait_often, job};
    struct run *run = run_begin(&task);
    int64_t start = now_ns();
    sleep_until_ns(start + length_ns);
    atomic_store(&job->over, true);
    run_end(run);
    double seconds = (double)(now_ns() - start) / 1e9;

    for (unsigned i = 0; i < waiters; i++)
        histogram_merge(&all, &job->histograms[i]);
    report("rate", (double)all.total / seconds);
    histogram_report(&all, "wait");
    shmwal_close(log);
    return 0;
}
