/* SPDX-License-Identifier: MIT
 *
 * Log files of the earlier, pure Python library of this name: one file, where a log of ours is a
 * directory. They are told apart from other files only to say how to bring them over; reading them
 * is `duralog import`'s.
 *
 * Knows sys. Their format is fixed. */
#ifndef STORE_EARLIER_H
#define STORE_EARLIER_H

#include <stdbool.h>

enum earlier { EARLIER_NO, EARLIER_EMPTY, EARLIER_LOG };

/* What the file at `path` is, by its first record: whole, of a known type, and not of zeros. A file
 * without a byte is what that library makes at once, and may be anything else. */
enum earlier earlier_recognize(const char *path);

#endif
