/* SPDX-License-Identifier: MIT
 *
 * XXH3 with AVX2. The Makefile compiles this file for processors that have it. Knows nobody. */
#include "format/checksum.h"

#if defined(__x86_64__)
uint64_t checksum64_avx2(const void *data, size_t length)
{
    return XXH3_64bits(data, length);
}
#endif
