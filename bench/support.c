/* SPDX-License-Identifier: MIT
 * See support.h. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

void sleep_until_ns(int64_t deadline)
{
    struct timespec when = {deadline / NS_PER_S, deadline % NS_PER_S};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR)
        ;
}

const char *text_argument(int count, char **words, int index, const char *usage)
{
    if (index < count)
        return words[index];
    fprintf(stderr, "usage: %s %s\n", program_invocation_short_name, usage);
    exit(2);
}

uint64_t number_argument(int count, char **words, int index, const char *usage)
{
    char *end;
    const char *text = text_argument(count, words, index, usage);
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno == 0 && end != text && *end == 0)
        return value;
    fprintf(stderr, "%s: \"%s\" is no number; usage: %s\n", program_invocation_short_name, text,
            usage);
    exit(2);
}

void end(const char *what, const char *sentence)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, sentence);
    exit(1);
}

void report(const char *name, double value)
{
    printf("%s %.6g\n", name, value);
}

void *shared_memory(size_t bytes)
{
    int flags = MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (memory == MAP_FAILED)
        end("shared memory", strerror(errno));
    return memory;
}

/* ---- Workers ---- */

struct worker {
    struct run *run;
    unsigned index;
    pthread_t thread;
    pid_t process;
};

struct run {
    pthread_barrier_t barrier; /* workers and the caller */
    struct task task;
    struct worker workers[];
};

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    const struct task *task = &worker->run->task;
    task->prepare(task->context, worker->index);
    pthread_barrier_wait(&worker->run->barrier);
    task->work(task->context, worker->index);
    return NULL;
}

static int worker_start(struct worker *worker)
{
    if (worker->run->task.kind == WORKER_THREADS)
        return -pthread_create(&worker->thread, NULL, worker_run, worker);
    pid_t process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* an interrupted benchmark leaves nobody behind */
        worker_run(worker);
        fflush(NULL);
        _exit(0);
    }
    worker->process = process; /* by the parent only: the memory is shared */
    return process < 0 ? -errno : 0;
}

struct run *run_begin(const struct task *task)
{
    pthread_barrierattr_t shared;
    struct run *run = shared_memory(sizeof *run + task->count * sizeof run->workers[0]);
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&run->barrier, &shared, task->count + 1);
    run->task = *task;
    fflush(NULL);
    for (unsigned i = 0; i < task->count; i++) {
        run->workers[i].run = run;
        run->workers[i].index = i;
        int error = worker_start(&run->workers[i]);
        end_if(error, "a worker cannot be started", strerror(-error));
    }
    pthread_barrier_wait(&run->barrier);
    return run;
}

static bool worker_join(const struct worker *worker)
{
    int status;
    if (worker->run->task.kind == WORKER_THREADS)
        return pthread_join(worker->thread, NULL) == 0;
    return waitpid(worker->process, &status, 0) == worker->process && status == 0;
}

void run_end(struct run *run)
{
    unsigned count = run->task.count;
    for (unsigned i = 0; i < count; i++)
        if (!worker_join(&run->workers[i]))
            end("a worker failed", "see above, or it was killed");
    munmap(run, sizeof *run + count * sizeof run->workers[0]);
}
