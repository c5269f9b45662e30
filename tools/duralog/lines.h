/* SPDX-License-Identifier: MIT
 *
 * The lines of an input, of any length, as they come: whatever one read delivers can be taken
 * before the next is waited for.
 *
 * Knows interrupt. */
#ifndef DURALOG_LINES_H
#define DURALOG_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct lines {
    int fd;
    bool ended;
    char *buffer;
    size_t begin, end; /* what is not taken yet */
    size_t scanned;    /* no line ends before it */
    size_t capacity;
    size_t length_max; /* of a line */
};

/* 0 or -ENOMEM. */
int lines_open(struct lines *lines, int fd, size_t length_max);
void lines_close(struct lines *lines);

/* The next line that is there, without its newline; the last one need not have any. It may be
 * written to, and what lies before it in the buffer too; valid until the next lines_fill. */
bool lines_next(struct lines *lines, char **line, size_t *length);

/* Waits for more: 1, or 0 at the end of the input; -EINTR at a signal, -EMSGSIZE if the line is
 * longer than length_max, or another negative errno. */
int lines_fill(struct lines *lines);

#endif
