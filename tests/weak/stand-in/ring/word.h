/* SPDX-License-Identifier: MIT
 *
 * In place of src/ring/word.h, for the checker, which knows no word of 16 bytes: the two halves
 * share one of 8, which is enough for the first LSNs. Reading it is one load, as it is with the
 * loop of the real one; why that loop reads a consistent word is not checked here, see
 * tests/README.md.
 *
 * Knows src/ring/ring.h. Changes with src/ring/word.h. */
#ifndef RING_WORD_H
#define RING_WORD_H

#include "ring/ring.h"

#define TELL_RELEASE(address) ((void)0)
#define TELL_ACQUIRE(address) ((void)0)

static inline uint64_t word_pack(struct ring_header header)
{
    return header.position << 32 | header.extent;
}

static inline bool word_swap(AO_double_t *word, struct ring_header old, struct ring_header new)
{
    uint64_t expected = word_pack(old);
    return atomic_compare_exchange_strong_explicit(&word->AO_val1, &expected, word_pack(new),
                                                   memory_order_seq_cst, memory_order_relaxed);
}

static inline struct ring_header word_read(const AO_double_t *word)
{
    uint64_t packed = atomic_load_explicit(&word->AO_val1, memory_order_seq_cst);
    struct ring_header header;
    header.position = packed >> 32;
    header.extent = packed & UINT32_MAX;
    return header;
}

static inline void word_step_back(unsigned lost)
{
    (void)lost;
}

#endif
