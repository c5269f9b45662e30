/* SPDX-License-Identifier: MIT
 *
 * How long does a checksum of a record take? One call after another over bytes that are in the
 * cache, each on its own: nothing but the memory barrier of the compiler between them.
 *
 * usage: checksum BYTES. Prints ns per call. Knows no log: it is why src/format/checksum.h is as
 * it is. */
#include "checksums.h"
#include "support.h"

#include <string.h>

enum { BYTES_MAX = 1 << 20, MEASURED_BYTES = 256 << 20, CALLS_MAX = 4 << 20 };

static char bytes[BYTES_MAX];

#define MEASURE(name, take)                                                                        \
    do {                                                                                           \
        int64_t start = now_ns();                                                                  \
        for (uint64_t i = 0; i < calls; i++)                                                       \
            consume(take(bytes, length));                                                          \
        report(name, (double)(now_ns() - start) / (double)calls);                                  \
    } while (0)

int main(int count, char **words)
{
    uint64_t length = number_argument(count, words, 1, "BYTES");
    if (length == 0 || length > BYTES_MAX)
        end("BYTES", "1 to 1048576");
    uint64_t calls = MEASURED_BYTES / length < CALLS_MAX ? MEASURED_BYTES / length : CALLS_MAX;
    memset(bytes, 0x5a, sizeof bytes);
    MEASURE("xxh3", take_xxh3);
#ifdef HAVE_ISAL
    MEASURE("crc32c", take_crc32c);
#endif
    return 0;
}
