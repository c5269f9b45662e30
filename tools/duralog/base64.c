/* SPDX-License-Identifier: MIT
 *
 * Bytes as base64. See base64.h.
 *
 * Knows nobody. */
#include "base64.h"

#include <stdint.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* `count` of the four digits of 24 bits, then padding. */
static void encode_group(uint32_t bits, int count, char *text)
{
    for (int i = 0; i < 4; i++)
        text[i] = i < count ? digits[bits >> (18 - 6 * i) & 63] : '=';
}

void base64_encode(const void *bytes, size_t length, char *text)
{
    const uint8_t *p = bytes;
    for (; length >= 3; length -= 3, p += 3, text += 4)
        encode_group((uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2], 4, text);
    if (length == 2)
        encode_group((uint32_t)p[0] << 16 | (uint32_t)p[1] << 8, 3, text);
    if (length == 1)
        encode_group((uint32_t)p[0] << 16, 2, text);
}
