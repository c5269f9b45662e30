/* SPDX-License-Identifier: MIT
 *
 * What becomes of a process whose ring or state is truncated in /dev/shm while it uses it.
 *
 * GUARANTEE. The kernel answers an access to memory that is no more with SIGBUS. Of a guarded
 * mapping the process does not die: it sees, from then on and by itself alone, a state that says
 * FLUSHER_LOST and that its ring is gone, and a ring in which nothing can be reserved, committed or
 * found. So whoever uses it comes to an error, and nothing is acknowledged.
 *
 * MECHANISM. A handler of SIGBUS, installed once for the process, puts other memory in the place
 * of both mappings: first of the state, a private copy; then of the ring, memory that faults
 * again wherever it is touched, and of that, whenever it is, a piece full of ones, or of zeros
 * where the records' bytes stand. A header of ones is neither stale nor open, so ring_finish() says
 * no; a tail of ones leaves no room. All of the ring goes, not only what was cut off: or a record
 * whose bytes are lost would be committed in a header that is not. With the ring's last mapping
 * goes the lock of region/attachment.h, and that is right: nothing here can store to the ring any
 * more.
 *
 * Other faults are passed on to the handler that was there before. One that is installed later
 * takes this one's place. Nothing helps a thread that blocks SIGBUS.
 *
 * REJECTED. To look before each access: it costs every append, and a truncation may come behind the
 * look. To jump out of the handler: locks and reservations would stay behind.
 *
 * Knows layout, sys. */
#ifndef REGION_GUARD_H
#define REGION_GUARD_H

#include "region/layout.h"

#include <stdbool.h>
#include <stddef.h>

struct guard;

/* The mappings of a ring and its state. All of the ring's NULL: it is not mapped. */
struct guarded {
    const void *ring, *bytes, *ring_end; /* before `bytes`: control and headers */
    const struct flusher_state *state;
};

/* Guards them from now on. `inherited`: forked children have them too. NULL if there is no
 * memory. */
struct guard *guard_take(const struct guarded *guarded, bool inherited);

/* Before the ring is unmapped and the state is not. */
void guard_release_ring(struct guard *guard);

/* Before both are. NULL does nothing. */
void guard_release(struct guard *guard);

#endif
