/* SPDX-License-Identifier: MIT
 * See commits.h. */
#include "commits.h"

#include "histogram.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>

enum { LINE = 64 };

/* What a worker has done and what it took, written by it alone. */
struct tally {
    _Alignas(LINE) struct histogram histogram;
    double switches, cpu_us;
};

struct job {
    const struct commits *way;
    atomic_bool over;
    void **sessions; /* each used by its own worker alone, in whose memory it lies */
    struct tally *tallies;
};

static void prepare(void *context, unsigned index)
{
    struct job *job = context;
    job->sessions[index] = job->way->attach(index);
    job->way->commit(job->sessions[index], 0);
}

/* Of the calling thread, so far. */
static void add_usage(struct tally *tally, int sign)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    tally->switches += sign * (double)(usage.ru_nvcsw + usage.ru_nivcsw);
    tally->cpu_us += sign * ((double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
                             (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec));
}

/* What ends after the time is over does not count. */
static void commit_often(void *context, unsigned index)
{
    struct job *job = context;
    struct tally *tally = &job->tallies[index];
    add_usage(tally, -1);
    int64_t start = now_ns();
    for (uint64_t number = 1;; number++) {
        job->way->commit(job->sessions[index], number);
        if (atomic_load_explicit(&job->over, memory_order_relaxed))
            break;
        int64_t end = now_ns();
        histogram_add(&tally->histogram, end - start);
        start = end;
    }
    add_usage(tally, 1);
}

static void report_sum(const struct job *job, unsigned workers, double seconds)
{
    static struct tally sum;
    for (unsigned i = 0; i < workers; i++) {
        histogram_merge(&sum.histogram, &job->tallies[i].histogram);
        sum.switches += job->tallies[i].switches;
        sum.cpu_us += job->tallies[i].cpu_us;
    }
    double commits = (double)sum.histogram.total;
    report("rate", commits / seconds);
    histogram_report(&sum.histogram, "wait");
    report("switches", sum.switches / commits);
    report("cpu", sum.cpu_us / commits);
}

int commits_main(int count, char **words, const struct commits *way)
{
    const char *usage = "PATH threads|processes COUNT MILLISECONDS";
    const char *path = text_argument(count, words, 1, usage);
    const char *kind = text_argument(count, words, 2, usage);
    unsigned workers = (unsigned)number_argument(count, words, 3, usage);
    int64_t length_ns = (int64_t)number_argument(count, words, 4, usage) * 1000000;
    bool has_processes = strcmp(kind, "processes") == 0;
    struct job *job = shared_memory(sizeof *job);
    job->way = way;
    job->sessions = shared_memory(workers * sizeof job->sessions[0]);
    job->tallies = shared_memory(workers * sizeof job->tallies[0]);
    way->open(path, has_processes);

    enum worker_kind worker_kind = has_processes ? WORKER_PROCESSES : WORKER_THREADS;
    struct task task = {worker_kind, workers, prepare, commit_often, job};
    struct run *run = run_begin(&task);
    int64_t start = now_ns();
    sleep_until_ns(start + length_ns);
    atomic_store(&job->over, true);
    double seconds = (double)(now_ns() - start) / 1e9;
    run_end(run);
    report_sum(job, workers, seconds);
    way->close();
    return 0;
}
