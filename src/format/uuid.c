/* SPDX-License-Identifier: MIT
 * See uuid.h. */
#include "format/uuid.h"

void uuid_format(const uint8_t uuid[FORMAT_UUID_BYTES], char text[UUID_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < FORMAT_UUID_BYTES; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[uuid[i] >> 4];
        *text++ = digits[uuid[i] & 15];
    }
    *text = 0;
}
