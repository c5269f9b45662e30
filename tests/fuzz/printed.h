/* SPDX-License-Identifier: MIT
 *
 * Catches what is printed to stdout, from printed_begin() to printed_end().
 *
 * Knows require. */
#ifndef FUZZ_PRINTED_H
#define FUZZ_PRINTED_H

#include "require.h"

#include <stddef.h>

struct printed {
    FILE *stdout_before;
    char *bytes; /* the caller's to free after the end */
    size_t length;
};

static inline void printed_begin(struct printed *printed)
{
    printed->stdout_before = stdout;
    stdout = open_memstream(&printed->bytes, &printed->length);
    require(stdout != NULL, "there is memory");
}

static inline void printed_end(struct printed *printed)
{
    fclose(stdout);
    stdout = printed->stdout_before;
}

#endif
