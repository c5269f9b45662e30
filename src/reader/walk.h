/* SPDX-License-Identifier: MIT
 *
 * A log's data frames, in order, over all its segments, up to what may be yielded.
 *
 * While the log has a ring, its durable LSN is the bound: what is written behind it is not there
 * yet, and whatever is invalid below it is damage. Without a ring, what is valid on disk is what
 * there is, by the rules of store/recovery.h. Rings and flushers come and go while a walk goes on.
 *
 * Two rules keep what is read and what is known in step:
 *
 *   - Bytes that were read before the bound rose are read again: then they may have been in the
 *   making.
 *   - Bytes that were read while there was no ring count only if there is still none afterwards.
 *
 * And one keeps the walk on the right segment: a segment that begins where the walk stands exists
 * before the bound rises beyond its beginning. So whoever looks for it after the bound does not
 * miss it.
 *
 * Knows region/view.h, store, segment, format, sys, base. Changes with recovery's rules. */
#ifndef READER_WALK_H
#define READER_WALK_H

#include "region/view.h"
#include "segment/scan.h"
#include "store/catalog.h"
#include "store/directory.h"

#include <stdbool.h>
#include <stdint.h>

enum walk_finding { WALK_INTACT, WALK_TORN, WALK_DAMAGED };

struct walk {
    const struct directory *directory;

    struct region_view view; /* view.state NULL: no ring was there when it was last looked for */
    uint64_t bound;          /* only what ends there is yielded; FORMAT_LSN_NONE: no ring */
    uint64_t end_lsn;        /* the caller's own bound: frames from there on are left alone */

    struct catalog catalog; /* the segments that were there at the beginning */
    size_t listed;          /* the place in it of the one behind the current one */
    struct segment segment;
    bool segment_open;
    bool spoiled; /* its header is not the file's, which is unreadable: salvage.c */
    struct scan scan;
    bool sealed;         /* the last frame was a seal */
    uint64_t loads_seen; /* the scan's loads when a ring was last looked for */

    uint64_t judged_offset; /* where an end was judged, and whether zeros stood there: as long as */
    bool judged_zeros;      /* that stays so, the rest of the file is not searched again */

    enum walk_finding finding;
    char where[SEGMENT_NAME_BYTES];
    char reason[160];
    uint64_t finding_offset;
    uint64_t finding_lsn;
};

/* Stands in the segment that `from_lsn` lies in, at its first frame. `directory` must outlive it,
 * and the walk must not be moved. */
int walk_open(struct walk *walk, const struct directory *directory, uint64_t from_lsn);
void walk_close(struct walk *walk);

/* 1 and the next data frame, valid until the next call; 0 at the end for now; -EBADMSG at damage,
 * again each time; or another error. walk->finding tells about torn tails and damage. */
int walk_next(struct walk *walk, const struct frame_header **frame);

/* Goes near `lsn`, within the segment where it stands, without reading what comes before: only over
 * what is known to be durable, so that no frame is passed that recovery might cut, and those behind
 * it with it. What is damaged before `lsn` is not seen. */
int walk_skip(struct walk *walk, uint64_t lsn);

/* After damage, when asked to: goes on at the next valid frame behind it. 1; 0 if there is none,
 * and the walk stays where it is; or an error. Until then the finding's place and reason stand. */
int walk_salvage(struct walk *walk);

/* Makes `segment` the current one; the walk stands at its beginning. */
void walk_enter(struct walk *walk, const struct segment *segment);

/* Looks for the ring: view.state and bound tell. */
int walk_look_for_ring(struct walk *walk);

/* Notes damage at `offset` of the current segment, and refuses: -EBADMSG from now on. All before
 * `lsn` is intact. */
__attribute__((format(printf, 4, 5))) int walk_refuse(struct walk *walk, uint64_t offset,
                                                      uint64_t lsn, const char *format, ...);

/* The LSN that the next frame begins at. */
static inline uint64_t walk_lsn(const struct walk *walk)
{
    return walk->scan.lsn;
}

#endif
