/* SPDX-License-Identifier: MIT
 *
 * Bugs and environment, told apart.
 *
 * INVARIANT(x) states what only a bug in this library can break; it stays on in release builds and
 * aborts with file and line. Whatever a disk, a user or another process can cause is never asserted
 * but reported through base/error.h.
 *
 * Knows nobody. Changes when a new class of assertion is needed, which is hardly ever. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define INVARIANT(condition)                                                                       \
    (__builtin_expect(!!(condition), 1) ? (void)0                                                  \
                                        : invariant_broken(#condition, __FILE__, __LINE__))

__attribute__((noreturn, cold)) static inline void invariant_broken(const char *condition,
                                                                    const char *file, int line)
{
    fprintf(stderr, "shmwal: internal error: %s does not hold (%s:%d)\n", condition, file, line);
    abort();
}

#endif
