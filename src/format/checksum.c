/* SPDX-License-Identifier: MIT
 *
 * Long checksums: for what the compiler was told to build for, or, on x86-64, with AVX-512 or AVX2
 * where the processor has it. Knows nobody. */
#include "format/checksum.h"

/* Below, AVX2 is as fast or faster. */
enum { AVX512_MIN = 4096 };

uint64_t checksum64_long(const void *data, size_t length)
{
#if defined(__x86_64__)
    if (length >= AVX512_MIN && __builtin_cpu_supports("avx512f"))
        return checksum64_avx512(data, length);
    if (__builtin_cpu_supports("avx2"))
        return checksum64_avx2(data, length);
#endif
    return XXH3_64bits(data, length);
}
