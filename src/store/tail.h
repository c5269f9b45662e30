/* SPDX-License-Identifier: MIT
 *
 * The tail of the log on disk: the last segment, and how another one comes to follow it.
 *
 * Rolling goes in these steps; a crash between any two leaves a log that recovery accepts:
 *
 *   1  a spare file is taken, or a new one allocated
 *   2  its header is written and synced                the old segment is still the last one
 *   3  frames go to it                                 none of them counts yet
 *   4  all that the old segment holds is durable
 *   5  it is renamed to what its first LSN asks for    from here on it cuts the old one off
 *   6  the directory is synced                         now it cannot be lost silently, but for
 *   7  a roll mark ends the old segment, synced        a successor that vanishes: now that is seen
 *   8  what was written to it in step 3 counts
 *
 * THE RULE: a segment has a name only if all before its first LSN is durable; and nothing in it is
 * acknowledged before it has one. So the device need not fall idle for a roll: frames of the old
 * segment and of its successor, which has no name yet, may be in flight at the same time. A crash
 * before step 5 forgets the successor, and with it only what nobody was promised.
 *
 * A segment keeps room behind its frames for a seal and a roll mark. Who writes the frames, and
 * when they are durable, is the store's.
 *
 * Knows spare.h, recovery.h, directory.h, segment, format, sys, base. Changes when the steps do. */
#ifndef STORE_TAIL_H
#define STORE_TAIL_H

#include "segment/segment.h"
#include "store/directory.h"
#include "store/recovery.h"
#include "store/spare.h"

#include <stdbool.h>
#include <stdint.h>

struct tail {
    const struct directory *directory;
    struct spare *spare;
    enum segment_sync sync;

    struct segment segments[2];
    unsigned current;     /* place of the segment that frames go to */
    bool unnamed;         /* steps 2 to 5: it has no name, and the other one is its predecessor */
    uint64_t offset;      /* where the next frame goes */
    uint64_t end_lsn;     /* where that frame begins */
    uint64_t next_number; /* above every number used */
    uint64_t frames;      /* that went to this segment */
    bool abandoned;       /* it takes no more frames, not even a mark */

    struct {
        uint64_t offset; /* where its frames end */
        bool mark;       /* a roll mark is to stand there */
        bool release;    /* the space behind is to be given back */
    } left;              /* the predecessor, while the current segment has no name */
};

/* Opens the last segment to write on where recovery says, or begins another one there: also if that
 * file is a copy's too, by a hard link. If a shortage forbids that for now, nothing fits until
 * tail_roll() can. `spare` outlives the tail. */
int tail_open(struct tail *tail, const struct directory *directory, struct spare *spare,
              enum segment_sync sync, const struct recovery *recovery);

/* Where frames go now. The segment stays where it is until the one behind it has a name. */
const struct segment *tail_segment(const struct tail *tail);

/* Whether its blocks were written before, so that a commit changes nothing but them. */
bool tail_is_prefilled(const struct tail *tail);

/* Whether the current segment takes a frame of so many bytes in its file. */
bool tail_fits(const struct tail *tail, enum frame_kind kind, uint64_t bytes);

/* The largest payload of a frame that fits. */
uint64_t tail_room(const struct tail *tail);

/* Gives the next frame its place: its offset. */
uint64_t tail_take(struct tail *tail, uint64_t payload_bytes);

/* Steps 1 and 2: from now on frames go to a new segment. Not while one has no name. On failure
 * nothing has changed. */
int tail_roll(struct tail *tail);

/* Steps 5 to 7, for a segment that has no name, once step 4 is true. After a failure there must
 * be a tail_retreat(). That the roll mark cannot be written is none: the successor is there, only
 * its loss would not be seen. */
int tail_name(struct tail *tail);

/* After a write or a naming that failed: nothing more goes to the segments so far, the next one
 * begins at `lsn`, before which all is durable and has its name. A segment without one is
 * dropped. */
void tail_retreat(struct tail *tail, uint64_t lsn);

void tail_close(struct tail *tail);

#endif
