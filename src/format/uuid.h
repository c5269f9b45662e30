/* SPDX-License-Identifier: MIT
 *
 * The text of a UUID. Knows format.h. */
#ifndef FORMAT_UUID_H
#define FORMAT_UUID_H

#include "format/format.h"

enum { UUID_TEXT_BYTES = 37 };

/* 8-4-4-4-12 lower-case hex digits and a NUL. */
void uuid_format(const uint8_t uuid[FORMAT_UUID_BYTES], char text[UUID_TEXT_BYTES]);

#endif
