/* SPDX-License-Identifier: MIT
 *
 * A log's data frames, in order, over all its segments, up to what may be yielded.
 *
 * While the log has a ring, its durable LSN is the bound: what is written behind it is not there yet,
 * and whatever is invalid below it is damage. Without a ring, what is valid on disk is what there is, by
 * the rules of store/recovery.h. Rings come and go while a walk goes on.
 *
 * Knows region/view.h, store, segment, format, sys, base. */
#ifndef READER_WALK_H
#define READER_WALK_H

#include "region/view.h"
#include "segment/scan.h"
#include "store/directory.h"

#include <stdbool.h>
#include <stdint.h>

enum walk_finding { WALK_INTACT, WALK_TORN, WALK_DAMAGED };

struct walk {
    const struct directory *directory;
    struct region_view view; /* view.state NULL: no ring was there when it was last looked for */
    struct segment segment;
    bool segment_open;
    uint64_t limit; /* where the successor begins; FORMAT_LSN_NONE: there was none yet */
    struct scan scan;
    uint64_t loads_seen;    /* the scan's loads when a ring was last looked for */
    uint64_t judged_offset; /* where an end has been judged: the file need not be searched again */
    bool reread;            /* the bytes at the scan's place have just been read afresh */

    enum walk_finding finding;
    char where[SEGMENT_NAME_BYTES];
    char reason[160];
    uint64_t finding_offset;
    uint64_t finding_lsn;
};

/* Stands in the segment that `from_lsn` lies in, at its first frame. `directory` must outlive it. */
int walk_open(struct walk *walk, const struct directory *directory, uint64_t from_lsn);
void walk_close(struct walk *walk);

/* 1 and the next data frame, valid until the next call; 0 at the end for now; -EBADMSG at damage, again
 * each time; or another error. walk->finding tells about torn tails and damage. */
int walk_next(struct walk *walk, const struct frame_header **frame);

/* Whether a ring bounds the walk: looked for anew if there was none. */
bool walk_has_ring(struct walk *walk);

/* The LSN that the next frame begins at. */
static inline uint64_t walk_lsn(const struct walk *walk)
{
    return walk->scan.lsn;
}

#endif
