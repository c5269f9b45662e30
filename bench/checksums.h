/* SPDX-License-Identifier: MIT
 *
 * The checksums that are compared: XXH3 inlined, as the library has it, and isa-l's CRC32C where
 * that is installed (HAVE_ISAL, by bench/Makefile). Knows nobody. */
#ifndef BENCH_CHECKSUMS_H
#define BENCH_CHECKSUMS_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#ifdef HAVE_ISAL
#include <isa-l/crc.h>
#endif

static inline uint64_t take_xxh3(const void *data, size_t length)
{
    return XXH3_64bits(data, length);
}

#ifdef HAVE_ISAL
static inline uint64_t take_crc32c(const void *data, size_t length)
{
    return crc32_iscsi((unsigned char *)data, (int)length, ~0U);
}
#endif

/* Makes the compiler believe that `value` is used, and that memory may have changed. */
static inline void consume(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

#endif
