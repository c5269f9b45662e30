/* SPDX-License-Identifier: MIT
 *
 * Numbers the way people read them.
 *
 * Knows nobody. */
#ifndef DURALOG_HUMAN_H
#define DURALOG_HUMAN_H

#include <stdint.h>

enum { HUMAN_BYTES = 24 };

/* "512 B", "64 KiB", "1.5 GiB", in `text`; returns it. */
const char *human_bytes(uint64_t bytes, char text[HUMAN_BYTES]);

/* "250 ms", "3.2 s", "17 min", in `text`; returns it. */
const char *human_age(uint64_t milliseconds, char text[HUMAN_BYTES]);

#endif
