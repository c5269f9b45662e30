/* SPDX-License-Identifier: MIT
 *
 * The end of a ring that bears its name no more. A producer that has found the flusher running may
 * reserve, and commit, long after the flusher's last look: in a ring with a name that waits for the
 * next flusher, in one without it nobody would ever come to it. So all its room is taken, which
 * succeeds only while it is empty, and whoever comes finds it full and the flusher gone. */
#include "flusher/flusher.h"

#include "ring/ring.h"

/* Room is taken in pieces that a producer might have taken, so that they can be given back. */
static uint64_t piece(const struct flusher *flusher, uint64_t left)
{
    return left < flusher->span_max ? left : flusher->span_max;
}

/* What `taken` bytes were makes fillers, which are written like others. */
static void give_back(const struct flusher *flusher, uint64_t taken)
{
    const struct ring *ring = &flusher->region.region.ring;
    for (uint64_t done = 0, span; done < taken; done += span) {
        span = piece(flusher, taken - done);
        ring_finish(ring, 0, flusher->gathered + done, span, RING_DISCARDED);
    }
}

bool shut_ring(struct flusher *flusher)
{
    struct ring *ring = &flusher->region.region.ring;
    for (uint64_t taken = 0, lsn, span; taken < ring->size; taken += span) {
        span = piece(flusher, ring->size - taken);
        if (ring_reserve(ring, 0, span, &lsn) < 0) {
            give_back(flusher, taken);
            return false;
        }
        if (lsn != flusher->gathered + taken) { /* what came between stands before it */
            ring_finish(ring, 0, lsn, span, RING_DISCARDED);
            give_back(flusher, taken);
            return false;
        }
    }
    return true;
}
