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

/* Wakes all that wait on it. */
void sys_futex_wake(const _Atomic uint32_t *word);

#endif
