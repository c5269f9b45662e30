/* SPDX-License-Identifier: MIT
 *
 * What nobody will finish: reservations whose owner is dead, and headers that nobody can have
 * written.
 *
 * Only the extent that the flusher waits for is looked at: those behind it come to be that one. An
 * owner that lives is never overruled, however long it takes; it is named in the shared state, for
 * `status`. The proof of death is region/attachment.h's, that of damage ring/mend.h's. */
#include "flusher/flusher.h"

#include "region/attachment.h"
#include "region/held.h"
#include "ring/mend.h"
#include "ring/ring.h"
#include "sys/clock.h"

static void note_open(struct flusher_state *state, uint64_t lsn, uint64_t owner)
{
    struct held noted;
    if (held_read(state, &noted) && noted.lsn == lsn)
        return;
    held_note(state, &(struct held){lsn, owner, clock_monotonic_ns()});
}

/* Nothing here can be a race. A few looks all the same, some milliseconds: whoever owns what stands
 * here and lives has then hardly anything left to store into it. */
enum { BROKEN_LOOKS = 4 };

/* Goes on behind what is damaged. True if there is something to gather. */
static bool mend(struct flusher *flusher, enum ring_condition condition)
{
    const struct ring *ring = &flusher->region.region.ring;
    uint64_t lsn = flusher->gathered;
    flusher->open_looks++;
    if (++flusher->broken_looks < BROKEN_LOOKS)
        return false;
    uint64_t count = atomic_fetch_add(&flusher->region.state->fillers_invalid, 1) + 1;
    if (condition == RING_TAIL_BROKEN) {
        ring_mend_tail(ring, lsn, flusher->span_max);
        journal("LSN %llu: the ring's tail was overwritten, and was set to %llu; a process that "
                "has this log open stores into memory that is not its own",
                (unsigned long long)lsn, (unsigned long long)ring_end(ring));
        return true;
    }
    uint64_t span = ring_skip_damage(ring, lsn, flusher->span_max);
    if (journal_worth(count))
        journal("LSN %llu: the ring's headers were overwritten, and %llu bytes were replaced by a "
                "filler (%llu so far); a process that has this log open stores into memory that is "
                "not its own",
                (unsigned long long)lsn, (unsigned long long)span, (unsigned long long)count);
    return true;
}

static void tell_of_death(const struct flusher *flusher, uint64_t owner, uint64_t span,
                          uint64_t count)
{
    char words[ATTACHMENT_WORDS];
    journal("LSN %llu: producer %llu (%s) died with %llu bytes reserved; filled (%llu so far)",
            (unsigned long long)flusher->gathered, (unsigned long long)owner,
            attachment_words(flusher->region.region.control, owner, words),
            (unsigned long long)span, (unsigned long long)count);
}

/* True if it is finished now. */
static bool resolve_open(struct flusher *flusher)
{
    struct flusher_state *state = flusher->region.state;
    const struct ring *ring = &flusher->region.region.ring;
    struct ring_header open;
    flusher->open_looks++;
    if (!ring_find_open(ring, flusher->gathered, &open))
        return false; /* just finished; the next look shows it */
    uint64_t owner = ring_extent_owner(open.extent), span = ring_extent_span(open.extent);
    note_open(state, flusher->gathered, owner);
    if (attachment_alive(flusher->region.ring_fd, owner) != 0)
        return false;
    /* False if the owner finished it just before it died: then it is there to be gathered all the
     * same. */
    if (ring_finish(ring, owner, flusher->gathered, span, RING_DISCARDED)) {
        uint64_t count = atomic_fetch_add(&state->fillers_dead, 1) + 1;
        if (journal_worth(count))
            tell_of_death(flusher, owner, span, count);
    }
    return true;
}

bool orphan_resolve(struct flusher *flusher)
{
    enum ring_condition condition =
        ring_examine(&flusher->region.region.ring, flusher->gathered, flusher->span_max);
    bool damaged = condition == RING_BROKEN || condition == RING_TAIL_BROKEN;
    bool finished = condition == RING_FINISHED;
    if (condition == RING_OPEN)
        finished = resolve_open(flusher);
    else if (damaged)
        finished = mend(flusher, condition);
    if (finished || condition != RING_OPEN)
        held_forget(flusher->region.state);
    if (finished || condition == RING_EMPTY)
        flusher->open_looks = 0;
    if (finished || !damaged)
        flusher->broken_looks = 0;
    return finished;
}
