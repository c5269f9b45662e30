/* SPDX-License-Identifier: MIT
 *
 * What a fuzzer holds to be true: if it is not, the input that shows it is kept.
 *
 * Knows nobody. */
#ifndef FUZZ_REQUIRE_H
#define FUZZ_REQUIRE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static inline void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

#endif
