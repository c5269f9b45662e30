/* SPDX-License-Identifier: MIT
 *
 * What does a second core cost? Two threads, each on a core of its own: `handover` is the time that
 * a cache line takes from one to the other, `alone` the time of an append into a ring that nobody
 * drains by one of them, `together` the time from one append to the next while both append. What a
 * machine with more cores would do is computed from these (bench/parts/model.py).
 *
 * usage: contention LOG. Prints ns. The log must be new. Knows the public header. */
#include "log.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { HANDOVERS = 1000000, RECORD_BYTES = 100, LINE = 64, THREADS_MAX = 2 };

struct job {
    shmwal *log;
    uint64_t records; /* of each thread */
    int64_t begun[THREADS_MAX], ended[THREADS_MAX];
    _Alignas(LINE) atomic_ullong ball;
    cpu_set_t cores;
};

/* The index-th of those that this process may use. */
static void stay_on_core(const struct job *job, unsigned index)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &job->cores) && index-- == 0)
            CPU_SET(core, &one);
    pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void prepare(void *context, unsigned index)
{
    stay_on_core(context, index);
}

static void hand_over(void *context, unsigned index)
{
    struct job *job = context;
    job->begun[index] = now_ns();
    for (uint64_t i = index; i < 2 * (uint64_t)HANDOVERS; i += 2) {
        while (atomic_load_explicit(&job->ball, memory_order_acquire) != i)
            ;
        atomic_store_explicit(&job->ball, i + 1, memory_order_release);
    }
    job->ended[index] = now_ns();
}

static void append_often(void *context, unsigned index)
{
    static const char record[RECORD_BYTES];
    struct job *job = context;
    job->begun[index] = now_ns();
    for (uint64_t i = 0; i < job->records; i++)
        log_append(job->log, record, sizeof record);
    job->ended[index] = now_ns();
}

/* From the first thread's begin to the last one's end; by their own clocks, since whoever lets
 * them go may run after them. */
static double run_ns(struct job *job, unsigned threads, void (*work)(void *, unsigned))
{
    struct task task = {WORKER_THREADS, threads, prepare, work, job};
    run_end(run_begin(&task));
    int64_t begun = job->begun[0], ended = job->ended[0];
    for (unsigned i = 1; i < threads; i++) {
        begun = job->begun[i] < begun ? job->begun[i] : begun;
        ended = job->ended[i] > ended ? job->ended[i] : ended;
    }
    return (double)(ended - begun);
}

/* A quarter of the ring for each thread that appends: alone, and two together. */
static uint64_t quarter_of_ring(shmwal *log, const char *path)
{
    static const char record[RECORD_BYTES];
    shmwal_status status = {.size = sizeof status};
    uint64_t begin = shmwal_reserved_lsn(log);
    uint64_t span = log_append(log, record, sizeof record) - begin;
    end_if(shmwal_get_status(path, &status), "status", shmwal_error());
    return status.ring_bytes / span / 4 - 1;
}

int main(int count, char **words)
{
    static struct job job;
    const char *path = text_argument(count, words, 1, "LOG");
    sched_getaffinity(0, sizeof job.cores, &job.cores);
    if (CPU_COUNT(&job.cores) < 2)
        end("cores", "this needs two");
    job.log = log_open(path, SHMWAL_NO_FLUSHER);
    job.records = quarter_of_ring(job.log, path);
    report("handover", run_ns(&job, 2, hand_over) / 2 / HANDOVERS);
    report("alone", run_ns(&job, 1, append_often) / (double)job.records);
    report("together", run_ns(&job, 2, append_often) / 2 / (double)job.records);
    shmwal_close(job.log);

    shmwal *log = log_open(path, 0); /* with a flusher, that what was appended may go */
    log_sync(log);
    shmwal_close(log);
    return 0;
}
