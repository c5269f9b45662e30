/* SPDX-License-Identifier: MIT
 *
 * Which process is this? Noticing a fork without a system call.
 *
 * A page under MADV_WIPEONFORK holds this process's generation; the kernel zeroes it in every
 * forked child, also where fork handlers do not run (a raw clone, another C library). A handle
 * remembers the generation in which it attached. The page holds a mutex too: wiped, it is unlocked
 * in the child whatever the parent's threads were doing.
 *
 * Knows sys/fork.h, base. */
#ifndef PRODUCER_PROCESS_H
#define PRODUCER_PROCESS_H

#include <stdatomic.h>
#include <stdint.h>

struct process_page; /* process.c */
extern _Atomic(_Atomic uint32_t *) process_generation_word;

/* Sets the page up; to be called before the first handle. 0, or a negative errno with a
 * sentence. */
int process_prepare(void);

/* This process's generation; 0 in a child that has not begun one. */
static inline uint32_t process_generation(void)
{
    return atomic_load_explicit(
        atomic_load_explicit(&process_generation_word, memory_order_relaxed), memory_order_relaxed);
}

/* Locks what handles share in this process, beginning a generation if a child has none yet. */
void process_lock(void);
void process_unlock(void);

#endif
