/* SPDX-License-Identifier: MIT
 *
 * The lines of an input. See lines.h.
 *
 * Knows interrupt. */
#include "lines.h"

#include "interrupt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CAPACITY_FIRST = 1024 * 1024 };

int lines_open(struct lines *lines, int fd, size_t length_max)
{
    char *buffer = malloc(CAPACITY_FIRST);
    if (!buffer)
        return -ENOMEM;
    *lines = (struct lines){
        .fd = fd, .buffer = buffer, .capacity = CAPACITY_FIRST, .length_max = length_max};
    return 0;
}

void lines_close(struct lines *lines)
{
    free(lines->buffer);
}

bool lines_next(struct lines *lines, char **line, size_t *length)
{
    char *start = lines->buffer + lines->begin;
    char *from = lines->buffer + lines->scanned;
    char *newline = memchr(from, '\n', lines->end - lines->scanned);
    if (!newline && (!lines->ended || lines->begin == lines->end)) {
        lines->scanned = lines->end;
        return false;
    }
    *line = start;
    *length = (size_t)((newline ? newline : lines->buffer + lines->end) - start);
    lines->begin += *length + (newline ? 1 : 0);
    lines->scanned = lines->begin;
    return true;
}

/* Room for more behind the beginning of a line, which moves to the front. */
static int make_room(struct lines *lines)
{
    size_t held = lines->end - lines->begin;
    if (held > lines->length_max)
        return -EMSGSIZE;
    memmove(lines->buffer, lines->buffer + lines->begin, held);
    lines->scanned -= lines->begin;
    lines->begin = 0;
    lines->end = held;
    if (held < lines->capacity / 2)
        return 0;
    char *larger = realloc(lines->buffer, lines->capacity * 2);
    if (!larger)
        return -ENOMEM;
    lines->buffer = larger;
    lines->capacity *= 2;
    return 0;
}

int lines_fill(struct lines *lines)
{
    int rc = make_room(lines);
    if (rc == 0)
        rc = interrupt_wait_readable(lines->fd);
    if (rc < 0)
        return rc;
    ssize_t got = read(lines->fd, lines->buffer + lines->end, lines->capacity - lines->end);
    if (got < 0)
        return errno == EAGAIN ? 1 : -errno;
    lines->end += (size_t)got;
    lines->ended = got == 0;
    return got > 0;
}
