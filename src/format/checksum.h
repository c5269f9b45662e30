/* SPDX-License-Identifier: MIT
 *
 * The one checksum: XXH3, 64 bits, from the xxHash library, inlined (header-only: nothing to ship,
 * every architecture). Measured against the alternatives in bench/README.md.
 *
 * Long inputs are worth a call: then the widest instructions of this processor take the sum, to
 * the same result. Knows nobody. */
#ifndef FORMAT_CHECKSUM_H
#define FORMAT_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

/* XXH3 has methods of its own for inputs up to this long, in which vectors play no part. */
enum { CHECKSUM_SHORT_MAX = 240 };

uint64_t checksum64_long(const void *data, size_t length);
uint64_t checksum64_avx2(const void *data, size_t length);   /* only where the processor has it */
uint64_t checksum64_avx512(const void *data, size_t length); /* the same */

static inline uint64_t checksum64(const void *data, size_t length)
{
    return length <= CHECKSUM_SHORT_MAX ? XXH3_64bits(data, length) : checksum64_long(data, length);
}

#endif
