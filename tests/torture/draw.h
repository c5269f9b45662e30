/* SPDX-License-Identifier: MIT
 *
 * Numbers that look drawn by lot, and are the same again for the same seed. Knows nothing. */
#ifndef TORTURE_DRAW_H
#define TORTURE_DRAW_H

#include <stdint.h>

static inline uint64_t draw(uint64_t *seed)
{
    uint64_t value = *seed += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ value >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ value >> 27) * UINT64_C(0x94D049BB133111EB);
    return value ^ value >> 31;
}

#endif
