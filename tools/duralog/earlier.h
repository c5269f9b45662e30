/* SPDX-License-Identifier: MIT
 *
 * The log file of the earlier, pure Python library: its records, and the holes where none can be
 * made out. A record there, little-endian:
 *
 *    0-3: length of the payload   4: type, 1 JSON, 2 text   5-8: CRC-32 of it   9-: payload
 *
 * A record is whole if and only if it ends within the file, its type is known and its checksum
 * holds. Nothing marks where one begins, so behind damage the next one is searched for: first where
 * the damaged record's own length says, then at every byte. What is found has its checksum for it:
 * that bytes within a payload pass for a record happens to one in four thousand million tries, or
 * where a record holds a file of this very format.
 *
 * Knows zlib for the checksum. The format is fixed. */
#ifndef DURALOG_EARLIER_H
#define DURALOG_EARLIER_H

#include <stddef.h>
#include <stdint.h>

enum { EARLIER_JSON = 1, EARLIER_TEXT = 2 };

struct earlier_file {
    int fd;
    uint64_t bytes;             /* as it was opened; what is added later is not looked at */
    uint64_t position;          /* all before it was returned */
    uint64_t search_bytes_left; /* of checksums taken in vain, before a search is given up */
    uint8_t *window;            /* a part of the file */
    uint64_t window_offset;
    size_t window_bytes, window_capacity;
};

struct earlier_record {
    uint64_t offset;        /* of its header */
    const uint8_t *payload; /* valid until the next call */
    uint32_t length;
    uint8_t type;
};

struct earlier_hole {
    uint64_t offset, bytes;
    const char *reason;
};

/* Reads the regular file `fd` from `position`, where a record begins. 0 or a negative errno:
 * -EINVAL for something else than a regular file. `fd` stays the caller's. */
int earlier_open(struct earlier_file *file, int fd, uint64_t position);
void earlier_close(struct earlier_file *file);

/* What comes next: EARLIER_RECORD, EARLIER_HOLE, EARLIER_END, or a negative errno (-ENODATA: the
 * file has become shorter). */
enum { EARLIER_END = 0, EARLIER_RECORD = 1, EARLIER_HOLE = 2 };
int earlier_next(struct earlier_file *file, struct earlier_record *record,
                 struct earlier_hole *hole);

#endif
