/* SPDX-License-Identifier: MIT
 *
 * A shared word of 16 bytes, the tail or a header: read whole and changed whole. Only ring.c
 * includes it; the orderings are named there. The checker of weak memory, tests/weak, knows no
 * word so large and puts one of its own in this file's place: all else of the ring it checks as it
 * is.
 *
 * Knows ring.h. Changes when words are read or changed in another way. */
#ifndef RING_WORD_H
#define RING_WORD_H

#include "ring/ring.h"

/* ThreadSanitizer sees neither into the library's CAS nor what a flusher in another process does,
 * by which one thread's commit comes before another's use of the same memory. It is told both. */
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define TELL_RELEASE(address) __tsan_release((void *)(address))
#define TELL_ACQUIRE(address) __tsan_acquire((void *)(address))
#else
#define TELL_RELEASE(address) ((void)0)
#define TELL_ACQUIRE(address) ((void)0)
#endif

static inline bool word_swap(AO_double_t *word, struct ring_header old, struct ring_header new)
{
    TELL_RELEASE(&word->AO_val1);
    bool swapped = AO_compare_double_and_swap_double_full(
        word, (AO_t)old.position, (AO_t)old.extent, (AO_t) new.position, (AO_t) new.extent);
    TELL_ACQUIRE(&word->AO_val1);
    return swapped;
}

/* A consistent snapshot of two halves without a 16-byte load: the first half never repeats, so if
 * it is the same before and after, the second belongs to it. */
static inline struct ring_header word_read(const AO_double_t *word)
{
    const _Atomic uint64_t *first = (const _Atomic uint64_t *)&word->AO_val1;
    const _Atomic uint64_t *second = (const _Atomic uint64_t *)&word->AO_val2;
    for (;;) {
        struct ring_header copy;
        copy.position = atomic_load(first); /* R1, R3, D1 */
        /* Acquire, so that the second look at the first half comes after it. */
        copy.extent = atomic_load_explicit(second, memory_order_acquire);
        if (atomic_load_explicit(first, memory_order_relaxed) == copy.position)
            return copy;
    }
}

/* How long who has lost the tail to another core stays away from it, and how often that doubles. */
enum { PAUSES = 16, PAUSE_DOUBLINGS_MAX = 2 };

static inline void pause_core(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb"); /* `yield` is no delay on most cores */
#endif
}

/* Two cores that take the tail in turns wait for its cache line, and for each other's headers, at
 * every append. Whoever has lost it lets the winner append several times to lines that are near. */
static inline void word_step_back(unsigned lost)
{
    unsigned pauses = PAUSES << (lost < PAUSE_DOUBLINGS_MAX ? lost : PAUSE_DOUBLINGS_MAX);
    for (unsigned i = 0; i < pauses; i++)
        pause_core();
}

#endif
