/* SPDX-License-Identifier: MIT
 *
 * Fuzzes a log's meta: the first byte of the input says whether the checksum is set right and how
 * much is cut off; the others are changes.
 *
 * Knows hostile_log.h. Changes with the format. */
#include "hostile_log.h"

enum { FIX_CHECKSUM = 1, CUT = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hostile_open();
    struct meta meta = hostile_meta;
    uint8_t flags = size > 0 ? data[0] : 0;
    for (size_t i = 1; i < size && i <= sizeof meta; i++)
        ((uint8_t *)&meta)[i - 1] ^= data[i];
    if (flags & FIX_CHECKSUM)
        meta_seal(&meta);
    hostile_write("meta", &meta, flags & CUT ? size % sizeof meta : sizeof meta);
    hostile_read_all();
    hostile_write("meta", &hostile_meta, sizeof hostile_meta);
    return 0;
}
