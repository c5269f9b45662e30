/* SPDX-License-Identifier: MIT
 *
 * Reservations whose owner will not come back.
 *
 * Only the extent that the flusher waits for is looked at: those behind it come to be that one. An
 * owner that lives is never overruled, however long it takes; it is named in the shared state, for
 * `status`. The proof of death is region/attachment.h's. */
#include "flusher/flusher.h"

#include "region/attachment.h"
#include "ring/ring.h"
#include "sys/clock.h"

static void note_open(struct flusher_state *state, uint64_t lsn, uint64_t owner)
{
    if (atomic_load(&state->open_since_ns) != 0 && atomic_load(&state->open_lsn) == lsn)
        return;
    atomic_store(&state->open_lsn, lsn);
    atomic_store(&state->open_owner, owner);
    atomic_store(&state->open_since_ns, clock_monotonic_ns());
}

/* Something is reserved, and what its header says is neither open nor finished: it has just been
 * reserved, or a mad producer has stored into the headers. Worth looks, at growing intervals. */
static bool unreadable(const struct flusher *flusher)
{
    const struct ring *ring = &flusher->region.region.ring;
    return ring_end(ring) != flusher->gathered && !ring_finished_at(ring, flusher->gathered);
}

bool orphan_resolve(struct flusher *flusher)
{
    struct flusher_state *state = flusher->region.state;
    const struct ring *ring = &flusher->region.region.ring;
    struct ring_header open;
    if (!ring_find_open(ring, flusher->gathered, &open)) {
        atomic_store(&state->open_since_ns, 0);
        flusher->open_looks = unreadable(flusher) ? flusher->open_looks + 1 : 0;
        return false;
    }
    flusher->open_looks++;
    uint64_t owner = ring_extent_owner(open.extent), span = ring_extent_span(open.extent);
    note_open(state, flusher->gathered, owner);
    if (attachment_alive(flusher->region.ring_fd, owner) != 0)
        return false;
    /* False if the owner finished it just before it died: then it is there to be gathered all the
     * same. */
    if (ring_finish(ring, owner, flusher->gathered, span, RING_DISCARDED)) {
        uint64_t count = atomic_fetch_add(&state->fillers_dead, 1) + 1;
        if (journal_worth(count))
            journal(
                "LSN %llu: producer %llu (pid %d) died with %llu bytes reserved; filled (%llu so "
                "far)",
                (unsigned long long)flusher->gathered, (unsigned long long)owner,
                attachment_pid(flusher->region.region.control, owner), (unsigned long long)span,
                (unsigned long long)count);
    }
    atomic_store(&state->open_since_ns, 0);
    return true;
}
