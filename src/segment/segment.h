/* SPDX-License-Identifier: MIT
 *
 * One segment file: made, opened, written.
 *
 * A file becomes a segment in three steps that a crash may cut anywhere: it is allocated and its
 * header written and synced under a temporary name; it is renamed; its directory is synced. The
 * last two are the store's, because what they mean for the log is not known here.
 *
 * Every failure has a sentence that names the file and the place in it, but not the log: who knows
 * that puts it in front. Reading frames is scan.h.
 *
 * Knows format, sys, base. Changes when a file is allocated or synced in another way. */
#ifndef SEGMENT_SEGMENT_H
#define SEGMENT_SEGMENT_H

#include "format/format.h"

#include <stdbool.h>
#include <stdint.h>

/* How a write is made durable; store/probe.h decides. */
enum segment_sync {
    SYNC_FDATASYNC, /* a buffered write, then fdatasync */
    SYNC_DIRECT,    /* O_DIRECT and RWF_DSYNC: one call, no page cache */
};

enum segment_access {
    SEGMENT_READ,        /* through the page cache */
    SEGMENT_READ_DIRECT, /* what the device holds, where the file system can; else as above */
    SEGMENT_WRITE,
};

/* 16 hex digits, ".seg", NUL. */
enum { SEGMENT_NAME_BYTES = 21 };

struct segment {
    int fd;
    enum segment_sync sync;
    char name[SEGMENT_NAME_BYTES];
    const char *damage; /* why segment_open() returned -EBADMSG */
    struct segment_header header;
    bool shared; /* when it was opened the file had another name as well: a copy's, by hard links */
};

void segment_name(uint64_t first_lsn, char name[SEGMENT_NAME_BYTES]);

/* Whether `name` is one that segment_name() makes; then *first_lsn tells for what. */
bool segment_name_parse(const char *name, uint64_t *first_lsn);

/* Makes the file `temporary` a segment in all but its name: allocated, header written, synced.
 * `wanted` has compatible flags, uuid, number, first_lsn, previous_first_lsn and file_bytes; the
 * rest is set here. `reuse`: the file exists, allocated and not used; else one of that name is
 * replaced. Nothing is left behind on failure. */
int segment_create(int directory, const char *temporary, bool reuse,
                   const struct segment_header *wanted, enum segment_sync sync,
                   struct segment *segment);

/* Opens the segment that begins at `first_lsn` of the log `uuid`. -ENOENT if there is none;
 * -EBADMSG if the file is not what its name says, or shorter than it says itself; -EPROTO if a
 * later version wrote it. Only segment->name and ->damage are set then. */
int segment_open(int directory, uint64_t first_lsn, const uint8_t uuid[FORMAT_UUID_BYTES],
                 enum segment_access access, enum segment_sync sync, struct segment *segment);

void segment_close(struct segment *segment);

/* NULL if `next` may follow `previous` in a log, else what is wrong with it. */
const char *segment_follows(const struct segment_header *previous,
                            const struct segment_header *next);

/* Writes `bytes` from `data` at `offset`, all multiples of FORMAT_BLOCK, and syncs: durable on
 * 0. */
int segment_write(const struct segment *segment, const void *data, uint64_t bytes, uint64_t offset);

/* Writes a frame without a payload, a seal or a roll mark, that says where the log ends. */
int segment_write_mark(const struct segment *segment, enum frame_kind kind, uint64_t offset,
                       uint64_t end_lsn);

/* Gives back the space behind `offset`, which is not used any more. The file keeps its size; where
 * this cannot be done nothing is lost but space. */
void segment_release_tail(const struct segment *segment, uint64_t offset);

#endif
