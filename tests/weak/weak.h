/* SPDX-License-Identifier: MIT
 *
 * What the programs for the checker of weak memory share: its one call, threads, a clock that
 * stands still, and the kernel's futex.
 *
 * A futex can be had in one piece, since whoever wakes has changed the word before. A sleeper reads
 * the word once more; if it differs from what was expected, that is all that a wake-up could have
 * told it. If it does not, the sleeper's thread ends here. When all others have ended, it has been
 * forgotten if and only if the word is what it was: `is_forgotten`. Of several words, all.
 *
 * Knows src/sys/futex.h, the checker. Changes when a program needs more of its surroundings. */
#ifndef WEAK_H
#define WEAK_H

#include "sys/futex.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* The checker's calls; executions in which what is assumed does not hold are left out. */
void __VERIFIER_assume(bool condition) __attribute__((nothrow));
void __VERIFIER_assert_fail(const char *, const char *, int) __attribute__((nothrow));
int __VERIFIER_thread_create(const void *, void *(*)(void *), void *) __attribute__((nothrow));
void *__VERIFIER_thread_join(int) __attribute__((nothrow));
void __VERIFIER_thread_exit(void *) __attribute__((nothrow, noreturn));

void __assert_fail(const char *condition, const char *file, unsigned line, const char *function)
{
    (void)function;
    __VERIFIER_assert_fail(condition, file, (int)line);
    __VERIFIER_thread_exit(NULL);
}

/* One sleeper in each program; and what the clock says. */
enum { SLEPT_ON_MAX = 2, NOW_S = 1 };
static struct sys_futex_seen slept_on[SLEPT_ON_MAX];
static uint32_t slept_on_count;

int sys_futex_wait_any(const struct sys_futex_seen *words, uint32_t count, int64_t deadline_ns)
{
    assert(count <= SLEPT_ON_MAX);
    if (deadline_ns <= NOW_S * INT64_C(1000000000)) /* no other time-out is ever over */
        return -ETIMEDOUT;
    /* The kernel reads them behind a barrier. Relaxed is the harder case. */
    for (uint32_t i = 0; i < count; i++)
        if (atomic_load_explicit(words[i].word, memory_order_relaxed) != words[i].value)
            return -EAGAIN;
    for (uint32_t i = 0; i < count; i++)
        slept_on[i] = words[i];
    slept_on_count = count;
    __VERIFIER_thread_exit(NULL);
}

int sys_futex_wait(const _Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    return sys_futex_wait_any(&(struct sys_futex_seen){word, expected}, 1, deadline_ns);
}

void sys_futex_wake(const _Atomic uint32_t *word)
{
    (void)word;
}

/* To be asked when all other threads have ended. */
static inline bool is_forgotten(void)
{
    for (uint32_t i = 0; i < slept_on_count; i++)
        if (atomic_load(slept_on[i].word) != slept_on[i].value)
            return false;
    return slept_on_count > 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    (void)clock;
    now->tv_sec = NOW_S;
    now->tv_nsec = 0;
    return 0;
}

/* Runs these, each in a thread of its own, to their ends. */
static inline void run_threads(void *(*const threads[])(void *), unsigned count)
{
    int ids[4];
    for (unsigned i = 0; i < count; i++)
        ids[i] = __VERIFIER_thread_create(NULL, threads[i], NULL);
    for (unsigned i = 0; i < count; i++)
        __VERIFIER_thread_join(ids[i]);
}

#define RUN(...)                                                                                   \
    do {                                                                                           \
        void *(*const threads[])(void *) = {__VA_ARGS__};                                          \
        run_threads(threads, sizeof threads / sizeof *threads);                                    \
    } while (0)

#endif
