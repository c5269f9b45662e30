/* SPDX-License-Identifier: MIT
 *
 * Reading a segment frame by frame, and looking past the place where that ends.
 *
 * A scan holds a window of the file in memory. A frame that it hands out lies in the window, and
 * stays there until the next call. What a stop means (an end, a torn tail, damage) is decided in
 * store/recovery.h; here is only what the bytes say.
 *
 * Knows segment.h, format, sys, base. Changes with the way files are read. */
#ifndef SEGMENT_SCAN_H
#define SEGMENT_SCAN_H

#include "segment/segment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct scan {
    const struct segment *segment;
    uint64_t offset; /* where the next frame is looked for */
    uint64_t lsn;    /* where it must begin */
    uint64_t loads;  /* how often the file was read: a caller sees that the bytes are fresh */
    char *window;    /* the file's bytes from window_offset on; aligned to FORMAT_BLOCK */
    uint64_t window_offset, window_bytes;
    size_t capacity;
    size_t ahead; /* what the next load reads at least, growing while reading goes on */
};

/* Stands at the first frame of `segment`, which must outlive the scan. Reads nothing yet. A scan
 * that is open already keeps its memory. Begin with one that is all zero. */
void scan_start(struct scan *scan, const struct segment *segment);
void scan_close(struct scan *scan);

/* Goes back to a place that the scan has stood at, and forgets what it has read: the file may have
 * changed meanwhile. */
void scan_rewind(struct scan *scan, uint64_t offset, uint64_t lsn);

/* 1: *frame is the accepted frame at the scan's place, which is now behind it. 0: no accepted frame
 * is there. Negative: -EIO and the like; -EBADMSG if the file has become shorter. */
int scan_next(struct scan *scan, const struct frame_header **frame);

/* Goes over frames that end before `lsn`, by their headers alone: nothing is said about what they
 * hold. The frame that it then stands at is for scan_next(). */
int scan_skip(struct scan *scan, uint64_t lsn);

struct scan_tail {
    bool zero; /* nothing but zeros from the scan's place on */
    uint64_t
        later_offset; /* of a valid frame that proves the scan's place to have been durable; or 0 */
};

/* Looks at every block from the scan's place to the end of the file. */
int scan_look_past(struct scan *scan, struct scan_tail *tail);

/* For what is read behind damage. 1: the scan stands at the first valid data frame, from its place
 * on, that begins at its LSN or later and ends at `limit` at most; its LSN is now the frame's. 0:
 * there is none. */
int scan_search(struct scan *scan, uint64_t limit);

/* For a segment whose header is spoiled: takes the salt, which is in each frame's header and under
 * its checksum, from the first valid frame. -EBADMSG if there is none. */
int scan_find_salt(struct segment *segment);

/* 1 if the block at the scan's place is all zero or the file ends there, 0 if not, or an error. */
int scan_at_zeros(struct scan *scan);

#endif
