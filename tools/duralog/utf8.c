/* SPDX-License-Identifier: MIT
 *
 * Whether bytes are UTF-8. See utf8.h.
 *
 * YAJL checks strings too, but takes overlong forms and surrogates for valid.
 *
 * Knows nobody. */
#include "utf8.h"

#include <stdint.h>
#include <string.h>

/* The length of the character at `p`, of which `room` bytes can be looked at; 0 if it is not valid.
 * What the first byte leaves open is settled by the range of the second. */
static size_t character_length(const uint8_t *p, size_t room)
{
    uint8_t low = 0x80, high = 0xBF;
    size_t length;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    length = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        low = 0xA0; /* below: overlong */
    if (p[0] == 0xED)
        high = 0x9F; /* above: surrogates */
    if (p[0] == 0xF0)
        low = 0x90; /* below: overlong */
    if (p[0] == 0xF4)
        high = 0x8F; /* above: beyond U+10FFFF */
    if (length > room || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

size_t utf8_prefix(const void *bytes, size_t length)
{
    const uint8_t *p = bytes;
    size_t at = 0;
    while (at < length) {
        uint64_t word;
        while (length - at >= sizeof word) { /* ASCII, eight at a time */
            memcpy(&word, p + at, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) != 0)
                break;
            at += sizeof word;
        }
        if (at == length)
            break;
        size_t step = character_length(p + at, length - at);
        if (step == 0)
            break;
        at += step;
    }
    return at;
}

bool utf8_valid(const void *bytes, size_t length)
{
    return utf8_prefix(bytes, length) == length;
}
