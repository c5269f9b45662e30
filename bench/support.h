/* SPDX-License-Identifier: MIT
 *
 * What every benchmark program needs: a clock, numbers from the command line, an end with a
 * sentence, results that bench/run reads, and workers that start together.
 *
 * Each program answers one question, once, and prints `name value` lines; bench/run repeats and
 * interleaves them. Knows libc only, so that a floor can use it without the library. */
#ifndef BENCH_SUPPORT_H
#define BENCH_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_S INT64_C(1000000000)

int64_t now_ns(void);                  /* CLOCK_MONOTONIC */
void sleep_until_ns(int64_t deadline); /* the same clock */

/* The argument at `index` as a number; ends the program with `usage` if it is none. */
uint64_t number_argument(int count, char **words, int index, const char *usage);
const char *text_argument(int count, char **words, int index, const char *usage);

/* Prints what could not be done and why, and ends the program with status 1. */
_Noreturn void end(const char *what, const char *sentence);

static inline void end_if(int error, const char *what, const char *sentence)
{
    if (__builtin_expect(error < 0, 0))
        end(what, sentence);
}

/* A line of the result. */
void report(const char *name, double value);

/* Zeroed memory that forked children share; `bytes` of it, never NULL. */
void *shared_memory(size_t bytes);

enum worker_kind { WORKER_THREADS, WORKER_PROCESSES };

/* What each of several threads or forked processes does: `prepare(context, i)`, untimed, and once
 * all have, `work(context, i)`. */
struct task {
    enum worker_kind kind;
    unsigned count;
    void (*prepare)(void *context, unsigned index);
    void (*work)(void *context, unsigned index);
    void *context;
};

/* Starts the workers; returns when all of them are prepared and have been let go. */
struct run;
struct run *run_begin(const struct task *task);

/* Waits for them; ends the program if one has failed. */
void run_end(struct run *run);

#endif
