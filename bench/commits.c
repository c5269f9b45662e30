/* SPDX-License-Identifier: MIT
 * See commits.h. */
#include "commits.h"

#include "histogram.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

struct job {
    const struct commits *way;
    atomic_bool over;
    void **sessions; /* each used by its own worker alone, in whose memory it lies */
    struct histogram *histograms;
};

static void prepare(void *context, unsigned index)
{
    struct job *job = context;
    job->sessions[index] = job->way->attach(index);
    job->way->commit(job->sessions[index], 0);
}

static void commit_often(void *context, unsigned index)
{
    struct job *job = context;
    uint64_t number = 1;
    int64_t start = now_ns();
    while (!atomic_load_explicit(&job->over, memory_order_relaxed)) {
        job->way->commit(job->sessions[index], number++);
        int64_t end = now_ns();
        histogram_add(&job->histograms[index], end - start);
        start = end;
    }
}

static void report_usage(bool has_processes, uint64_t commits)
{
    struct rusage usage;
    getrusage(has_processes ? RUSAGE_CHILDREN : RUSAGE_SELF, &usage);
    double switches = (double)(usage.ru_nvcsw + usage.ru_nivcsw);
    double us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
                (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    report("switches", switches / (double)commits);
    report("cpu", us / (double)commits);
}

int commits_main(int count, char **words, const struct commits *way)
{
    static struct histogram all;
    const char *usage = "PATH threads|processes COUNT MILLISECONDS";
    const char *path = text_argument(count, words, 1, usage);
    const char *kind = text_argument(count, words, 2, usage);
    unsigned workers = (unsigned)number_argument(count, words, 3, usage);
    int64_t length_ns = (int64_t)number_argument(count, words, 4, usage) * 1000000;
    bool has_processes = strcmp(kind, "processes") == 0;
    struct job *job = shared_memory(sizeof *job);
    job->way = way;
    job->sessions = shared_memory(workers * sizeof job->sessions[0]);
    job->histograms = shared_memory(workers * sizeof job->histograms[0]);
    way->open(path, has_processes);

    enum worker_kind worker_kind = has_processes ? WORKER_PROCESSES : WORKER_THREADS;
    struct task task = {worker_kind, workers, prepare, commit_often, job};
    struct run *run = run_begin(&task);
    int64_t start = now_ns();
    sleep_until_ns(start + length_ns);
    atomic_store(&job->over, true);
    run_end(run);
    double seconds = (double)(now_ns() - start) / 1e9;

    for (unsigned i = 0; i < workers; i++)
        histogram_merge(&all, &job->histograms[i]);
    report("rate", (double)all.total / seconds);
    histogram_report(&all, "wait");
    report_usage(has_processes, all.total);
    way->close();
    return 0;
}
