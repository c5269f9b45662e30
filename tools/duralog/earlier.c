/* SPDX-License-Identifier: MIT
 *
 * The earlier library's log file. See earlier.h. */
#include "earlier.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { HEADER_BYTES = 9, WINDOW_BYTES = 1 << 20, SMALL_BYTES = 1 << 20, CHAIN = 3 };

/* No log takes a record of this size: a length beyond it is damage. */
#define LENGTH_MAX (UINT32_C(1) << 30)

/* ---- The file ---- */

int earlier_open(struct earlier_file *file, int fd, uint64_t position)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    *file = (struct earlier_file){.fd = fd, .bytes = (uint64_t)status.st_size};
    file->position = position;
    file->search_bytes_left = 8 * file->bytes + 64 * (uint64_t)SMALL_BYTES;
    return 0;
}

void earlier_close(struct earlier_file *file)
{
    free(file->window);
    file->window = NULL;
}

static int window_load(struct earlier_file *file, uint64_t offset, size_t wanted)
{
    uint64_t rest = file->bytes - offset;
    size_t size = wanted > WINDOW_BYTES ? wanted : WINDOW_BYTES;
    size = size < rest ? size : (size_t)rest;
    if (size > file->window_capacity) {
        uint8_t *larger = realloc(file->window, size);
        if (larger == NULL)
            return -ENOMEM;
        file->window = larger;
        file->window_capacity = size;
    }
    file->window_offset = offset;
    file->window_bytes = 0;
    while (file->window_bytes < size) {
        ssize_t got = pread(file->fd, file->window + file->window_bytes, size - file->window_bytes,
                            (off_t)(offset + file->window_bytes));
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0)
            return -ENODATA;
        file->window_bytes += got < 0 ? 0 : (size_t)got;
    }
    return 0;
}

/* Lets *bytes point to the file's bytes from `offset` on, `length` of which are there. */
static int window_at(struct earlier_file *file, uint64_t offset, size_t length,
                     const uint8_t **bytes)
{
    bool there = file->window != NULL && offset >= file->window_offset &&
                 offset + length <= file->window_offset + file->window_bytes;
    int rc = there ? 0 : window_load(file, offset, length);
    *bytes = rc == 0 ? file->window + (offset - file->window_offset) : NULL;
    return rc;
}

/* ---- Records ---- */

struct header {
    uint32_t length, checksum;
    uint8_t type;
};

static struct header header_parse(const uint8_t bytes[HEADER_BYTES])
{
    struct header header;
    memcpy(&header.length, bytes, 4);
    header.type = bytes[4];
    memcpy(&header.checksum, bytes + 5, 4);
    return header;
}

/* NULL if a record with this header may stand at `offset`, else why not. */
static const char *header_fault(const struct earlier_file *file, uint64_t offset,
                                const struct header *header)
{
    if (header->length > file->bytes - offset - HEADER_BYTES)
        return "its length reaches beyond the end of the file";
    if (header->length > LENGTH_MAX)
        return "its length is beyond that of any record";
    if (header->type != EARLIER_JSON && header->type != EARLIER_TEXT)
        return "its type is not known";
    return NULL;
}

/* 1 and *record if a whole one stands at `offset`; 0 and *fault if not; or a negative errno. */
static int read_record(struct earlier_file *file, uint64_t offset, struct earlier_record *record,
                       struct header *header, const char **fault)
{
    const uint8_t *bytes;
    *fault = "the header is cut off";
    *header = (struct header){0};
    if (file->bytes - offset < HEADER_BYTES)
        return 0;
    int rc = window_at(file, offset, HEADER_BYTES, &bytes);
    if (rc != 0)
        return rc;
    *header = header_parse(bytes);
    *fault = header_fault(file, offset, header);
    if (*fault != NULL)
        return 0;
    rc = window_at(file, offset, HEADER_BYTES + (size_t)header->length, &bytes);
    if (rc != 0)
        return rc;
    *fault = "its checksum does not match";
    if (crc32_z(0, bytes + HEADER_BYTES, header->length) != header->checksum)
        return 0;
    *record = (struct earlier_record){offset, bytes + HEADER_BYTES, header->length, header->type};
    return 1;
}

/* ---- The search behind damage ---- */

/* Whether `count` more headers that may stand where they do follow each other from `offset` on, or
 * the file ends where one of them would begin. */
static bool chain_follows(const struct earlier_file *file, uint64_t offset, int count)
{
    uint8_t bytes[HEADER_BYTES];
    for (; count > 0 && offset != file->bytes; count--) {
        if (file->bytes - offset < HEADER_BYTES ||
            pread(file->fd, bytes, sizeof bytes, (off_t)offset) != sizeof bytes)
            return false;
        struct header header = header_parse(bytes);
        if (header_fault(file, offset, &header) != NULL)
            return false;
        offset += HEADER_BYTES + (uint64_t)header.length;
    }
    return true;
}

/* Whether the checksum at `offset` is worth taking in a search: chance would have it taken over a
 * large part of the file at every hundredth byte, so large records must be followed by others. */
static bool worth_a_look(const struct earlier_file *file, uint64_t offset,
                         const struct header *header)
{
    return header_fault(file, offset, header) == NULL &&
           (header->length <= SMALL_BYTES ||
            chain_follows(file, offset + HEADER_BYTES + header->length, CHAIN));
}

/* 1 if a whole record stands at `offset`, 0 if not, or a negative errno. */
static int look(struct earlier_file *file, uint64_t offset)
{
    const uint8_t *bytes;
    const char *fault;
    struct header header;
    struct earlier_record record;
    int rc = window_at(file, offset, HEADER_BYTES, &bytes);
    if (rc != 0)
        return rc;
    header = header_parse(bytes);
    if (!worth_a_look(file, offset, &header))
        return 0;
    rc = read_record(file, offset, &record, &header, &fault);
    if (rc == 0)
        file->search_bytes_left -=
            header.length < file->search_bytes_left ? header.length : file->search_bytes_left;
    return rc;
}

/* The first whole record behind `offset`, or the end of the file. */
static int search(struct earlier_file *file, uint64_t offset, uint64_t *found)
{
    int rc = 0;
    do
        offset++;
    while (offset + HEADER_BYTES <= file->bytes && file->search_bytes_left > 0 &&
           (rc = look(file, offset)) == 0);
    *found = rc == 1 ? offset : file->bytes;
    return rc < 0 ? rc : 0;
}

/* Where it goes on behind the damaged record at `offset`. */
static int resume(struct earlier_file *file, uint64_t offset, const struct header *header,
                  uint64_t *found)
{
    uint64_t next = offset + HEADER_BYTES + header->length;
    bool plausible =
        file->bytes - offset >= HEADER_BYTES && header_fault(file, offset, header) == NULL;
    *found = next;
    if (plausible && next == file->bytes)
        return 0;
    int rc = plausible && file->bytes - next >= HEADER_BYTES ? look(file, next) : 0;
    return rc == 0 ? search(file, offset, found) : rc < 0 ? rc : 0;
}

int earlier_next(struct earlier_file *file, struct earlier_record *record,
                 struct earlier_hole *hole)
{
    const char *fault;
    struct header header;
    uint64_t offset = file->position;
    if (offset >= file->bytes)
        return EARLIER_END;
    int rc = read_record(file, offset, record, &header, &fault);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        file->position += HEADER_BYTES + (uint64_t)record->length;
        return EARLIER_RECORD;
    }
    rc = resume(file, offset, &header, &file->position);
    if (rc < 0)
        return rc;
    if (file->search_bytes_left == 0 && file->position == file->bytes)
        fault = "the search for the next record was given up: too much here looks like one";
    *hole = (struct earlier_hole){offset, file->position - offset, fault};
    return EARLIER_HOLE;
}
