/* SPDX-License-Identifier: MIT
 *
 * Where a log ends, and whether what stands there is an end, a torn tail or damage.
 *
 * The frames of a segment are accepted one after the other (format/format.h says when). Something
 * stops that. In the log's last segment, with p the LSN of the stop:
 *
 *        what is there                                it means
 *   @A   zeros to the end of the file, behind a seal  sealed: writing may go on right there
 *   @B   zeros to the end of the file, behind         unsealed: the log ends there; a new segment
 *        another frame or none                        begins
 *   @C   something else, and behind p no valid        torn: what a crash left unfinished; the log
 *        frame whose durable_before is above p        ends at p, a new segment begins there
 *   @D   something else, and behind p such a frame    damaged: p was durable, and is lost
 *   @E   a roll mark was accepted                     damaged: the successor is lost
 *
 * In a segment with a successor that begins at s, which only those see who read it all:
 *
 *   @F   accepted frames end just at s                whole; what lies behind is cut off
 *   @G   they stop before s, or one goes beyond it,   damaged
 *        or a roll mark stands elsewhere than at s
 *
 * With a ring, whose durable LSN is d, the log ends at d, and the last segment must agree:
 *
 *   @H   accepted frames reach d at a frame's end     whole; what lies behind is cut off
 *   @I   they do not                                  damaged
 *
 * And always: a broken chain of headers (store/catalog.h) is damage (@J); a read that fails is an
 * error, never a verdict (@K).
 *
 * Several frames may be in flight when a crash comes, and any of them may have landed: behind a
 * hole at p whole frames may stand. They were issued before p was durable, and say so, which makes
 * it @C. A segment gets its name only when all before its first LSN is durable (store/tail.h), so
 * that such a hole is never in front of a successor.
 *
 * A cut is final because a new segment is put in place before anything is written: it begins at the
 * cut, so the cut is @F from then on, and its frames have another salt. Where the last segment
 * holds nothing before the cut, the new one takes its name. Recovery may itself be cut anywhere:
 * until the new segment has its name nothing has changed.
 *
 * Knows catalog.h, directory.h, segment, format, sys, base. Changes only with the format. */
#ifndef STORE_RECOVERY_H
#define STORE_RECOVERY_H

#include "segment/scan.h"
#include "store/directory.h"

#include <stdint.h>

enum recovery_case {
    RECOVERY_SEALED,   /* @A */
    RECOVERY_UNSEALED, /* @B */
    RECOVERY_TORN,     /* @C */
    RECOVERY_DAMAGED,  /* @D */
};

/* Tells the cases @A to @D apart where a scan of the last segment has stopped; `sealed`: the last
 * accepted frame is a seal. *later_offset is where the frame of @D stands. */
int recovery_judge(struct scan *scan, bool sealed, enum recovery_case *verdict,
                   uint64_t *later_offset);

struct recovery {
    enum recovery_case verdict; /* @A, @B or @C */
    struct segment_header last;
    uint64_t end_lsn;    /* where the log ends */
    uint64_t end_offset; /* in the last segment */
    bool resume;         /* @A, and nothing was cut: write on there */
};

/* Recovers the log: `durable_lsn` is the ring's, FORMAT_LSN_NONE without one. On 0 everything
 * before end_lsn is synced, directories included, whatever a predecessor got done. Changes nothing
 * on disk. -EBADMSG; -EIO and the like. The caller puts the log's path in front of the sentence. */
int recovery_run(const struct directory *directory, uint64_t durable_lsn,
                 struct recovery *recovery);

#endif
