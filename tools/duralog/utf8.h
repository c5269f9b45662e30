/* SPDX-License-Identifier: MIT
 *
 * Whether bytes are UTF-8, as RFC 3629 has it: no overlong forms, no surrogates, nothing beyond
 * U+10FFFF.
 *
 * Knows nobody. */
#ifndef DURALOG_UTF8_H
#define DURALOG_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* How many of the first bytes are whole, valid characters: `length` if and only if all are. */
size_t utf8_prefix(const void *bytes, size_t length);

bool utf8_valid(const void *bytes, size_t length);

#endif
