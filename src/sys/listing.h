/* SPDX-License-Identifier: MIT
 *
 * The names in a directory.
 *
 * Knows sys/file.h. Changes when somebody needs more of an entry than its name. */
#ifndef SYS_LISTING_H
#define SYS_LISTING_H

/* Calls `visit` for every name but "." and "..", in no order, until one call returns non-zero;
 * returns that, 0, or a negative errno. */
int sys_list(int directory, int (*visit)(void *context, const char *name), void *context);

#endif
