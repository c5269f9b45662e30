/* SPDX-License-Identifier: MIT
 *
 * The checksums that are compared: XXH3, the library's own function, and isa-l's CRC32C where that
 * is installed (HAVE_ISAL, by bench/Makefile). Knows src/format/checksum.h. */
#ifndef BENCH_CHECKSUMS_H
#define BENCH_CHECKSUMS_H

#include "format/checksum.h"

#include <stddef.h>
#include <stdint.h>

#ifdef HAVE_ISAL
#include <isa-l/crc.h>
#endif

static inline uint64_t take_xxh3(const void *data, size_t length)
{
    return checksum64(data, length);
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
