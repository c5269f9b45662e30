/* SPDX-License-Identifier: MIT
 *
 * The one checksum: XXH3, 64 bits, from the xxHash library, inlined (header-only: nothing to ship,
 * every architecture). Measured against the alternatives in bench/README.md. Knows nobody. */
#ifndef FORMAT_CHECKSUM_H
#define FORMAT_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static inline uint64_t checksum64(const void *data, size_t length)
{
    return XXH3_64bits(data, length);
}

#endif
