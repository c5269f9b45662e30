/* SPDX-License-Identifier: MIT
 *
 * In place of libatomic_ops, for the checker: see ring/word.h beside this file. Knows nobody. */
#ifndef WEAK_ATOMIC_OPS_H
#define WEAK_ATOMIC_OPS_H

#include <stdatomic.h>
#include <stdint.h>

#define AO_HAVE_compare_double_and_swap_double_full

typedef struct {
    _Atomic uint64_t AO_val1; /* the whole word */
    uint64_t AO_val2;         /* not used */
} AO_double_t;

#endif
