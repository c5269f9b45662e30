/* SPDX-License-Identifier: MIT
 *
 * Waiting on and waking a 32-bit word that processes share. A word may be waited on through a
 * read-only mapping. Knows sys/clock.h. */
#ifndef SYS_FUTEX_H
#define SYS_FUTEX_H

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while *word == expected, until woken or the deadline (CLOCK_MONOTONIC). Returns 0 when
 * woken, -EAGAIN if the word differs already, -ETIMEDOUT, or -EINTR after a signal. */
int sys_futex_wait(const _Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* A word, and what it held when its reader found nothing to do. */
struct sys_futex_seen {
    const _Atomic uint32_t *word;
    uint32_t value;
};

enum {
    FUTEX_ANY_MAX = 128, /* as many the kernel takes in one call */
    FUTEX_LOOK_MS = 1,   /* as late is noticed what could not be waited for */
};

/* Sleeps on up to FUTEX_ANY_MAX words at once, until one of them differs or is woken; else as
 * sys_futex_wait(). Where the kernel has no such call (before Linux 5.16), or a filter refuses it,
 * it waits on the first word and returns after FUTEX_LOOK_MS at the latest, with -ETIMEDOUT. */
int sys_futex_wait_any(const struct sys_futex_seen *words, uint32_t count, int64_t deadline_ns);

/* Wakes all that wait on it. */
void sys_futex_wake(const _Atomic uint32_t *word);

#endif
