/* SPDX-License-Identifier: MIT
 *
 * Bytes as base64, RFC 4648 section 4, padded.
 *
 * Knows nobody. */
#ifndef DURALOG_BASE64_H
#define DURALOG_BASE64_H

#include <stddef.h>

static inline size_t base64_length(size_t length)
{
    return (length + 2) / 3 * 4;
}

/* Writes base64_length(length) characters to `text`, and no NUL. */
void base64_encode(const void *bytes, size_t length, char *text);

#endif
