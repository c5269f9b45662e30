/* SPDX-License-Identifier: MIT
 *
 * What happens when many processes append at once? Each appends as fast as it can for a while,
 * with a flusher that keeps the ring from filling; the log is meant to lie on tmpfs, where no
 * device waits.
 *
 * usage: producers LOG COUNT MILLISECONDS. Prints records a second as rate, and as slowest the
 * share of the slowest producer: 1 would be as much as their mean. Knows the public header. */
#include "log.h"

#include <stdatomic.h>
#include <stdbool.h>

enum { RECORD_BYTES = 100, LINE = 64 };

struct producer {
    _Alignas(LINE) uint64_t records;
};

struct job {
    shmwal *log;
    atomic_bool over;
    struct producer *producers;
};

static void prepare(void *context, unsigned index)
{
    const struct job *job = context;
    (void)index;
    log_attach(job->log);
}

static void produce(void *context, unsigned index)
{
    struct job *job = context;
    char record[RECORD_BYTES] = {0};
    uint64_t records = 0;
    for (; !atomic_load_explicit(&job->over, memory_order_relaxed); records++)
        log_append(job->log, record, sizeof record);
    job->producers[index].records = records;
}

int main(int count, char **words)
{
    const char *usage = "LOG COUNT MILLISECONDS";
    const char *path = text_argument(count, words, 1, usage);
    unsigned producers = (unsigned)number_argument(count, words, 2, usage);
    int64_t length_ns = (int64_t)number_argument(count, words, 3, usage) * 1000000;
    struct job *job = shared_memory(sizeof *job);
    job->log = log_open(path, 0);
    job->producers = shared_memory(producers * sizeof job->producers[0]);

    struct task task = {WORKER_PROCESSES, producers, prepare, produce, job};
    struct run *run = run_begin(&task);
    int64_t start = now_ns();
    sleep_until_ns(start + length_ns);
    atomic_store(&job->over, true);
    double seconds = (double)(now_ns() - start) / 1e9;
    run_end(run);

    uint64_t sum = 0, least = UINT64_MAX;
    for (unsigned i = 0; i < producers; i++) {
        sum += job->producers[i].records;
        if (job->producers[i].records < least)
            least = job->producers[i].records;
    }
    report("rate", (double)sum / seconds);
    report("slowest", (double)least * producers / (double)sum);
    shmwal_close(job->log);
    return 0;
}
