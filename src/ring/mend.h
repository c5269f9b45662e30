/* SPDX-License-Identifier: MIT
 *
 * Telling a damaged ring from a busy one, and going on behind the damage.
 *
 * All who write the ring trust each other, so a process that has gone mad can store anything into
 * the tail and the headers. The flusher must neither wait for ever for what no process will do, nor
 * take from a live process what it may still finish. So it gives up only what can be proven wrong.
 *
 * THE RULE. Let the flusher stand at `lsn`, with all before it consumed; let it read the tail and
 * then the header at `lsn`. In a ring that only the protocol has touched,
 *
 *   T  the tail's end is a multiple of 64, not below `lsn`, and not more than the ring's size above
 *      it; if it is above, then
 *   H  the header at `lsn` is that extent's own, or it is stale and the tail names the extent,
 *      since whoever moved the tail on has completed the header before; and
 *   S  the extent's length is one that a record may have, and where it ends there is the tail's
 *      end, or another extent's header, or an extent that the tail names.
 *
 * Where T does not hold, the tail is set to the end of the last extent whose header makes sense.
 * Where H or S does not, everything up to the next extent whose header makes sense becomes one that
 * was discarded. A header that was overwritten and still makes sense, reserved by a live process,
 * is that process's: only its end shows that nobody will finish it.
 *
 * Whoever owned what was given up is told when it finishes it, see ring_finish(). If it lives, it
 * may until then store into memory that is somebody else's by now; a checksum will show that.
 *
 * Knows ring.h, base. Changes with the protocol. */
#ifndef RING_MEND_H
#define RING_MEND_H

#include "ring/ring.h"

enum ring_condition {
    RING_EMPTY,       /* nothing is reserved at `lsn` */
    RING_OPEN,        /* something is, and is not finished */
    RING_FINISHED,    /* it is */
    RING_TAIL_BROKEN, /* T does not hold */
    RING_BROKEN,      /* H or S does not */
};

/* What stands at `lsn`; `span_max` is the longest extent that anybody may reserve. */
enum ring_condition ring_examine(const struct ring *ring, uint64_t lsn, uint64_t span_max);

/* Sets the tail to where the extents end that make sense. */
void ring_mend_tail(const struct ring *ring, uint64_t lsn, uint64_t span_max);

/* Makes what stands from `lsn` to the next extent that makes sense, or to the tail's end, discarded
 * extents; their length. None is longer than `span_max`, and all at once: one whose end leads to no
 * other would itself count as damage. */
uint64_t ring_skip_damage(const struct ring *ring, uint64_t lsn, uint64_t span_max);

#endif
