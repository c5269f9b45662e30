/* SPDX-License-Identifier: MIT
 * See ring.h for the protocol.
 *
 * Memory orderings, by pairs; `full` is the CAS of libatomic_ops, a barrier both ways.
 *
 *   R1  finish (full)        →  header read (acquire)  the payload stands before its commit shows
 *   R2  head (release, by    →  room check (acquire)   the flusher has copied an extent before its
 *       the flusher)                                   memory is given to somebody else
 *   R3  reserve (full)       →  tail read (acquire)    with a tail's end its extent is seen, and
 *                                                      the header that its maker completed before
 *   R4  head_seen (release)  →  head_seen (acquire)    hands R2 on between threads of one process
 *
 * Tail and header reads are seq_cst as well, for D1 of producer/room.c: the flusher's last look
 * before it sleeps.
 */
#include "ring/ring.h"

#include "base/assert.h"
#include "ring/word.h"

#include <errno.h>

static AO_double_t *header_at(const struct ring *ring, uint64_t lsn)
{
    return &ring->headers[(lsn & (ring->size - 1)) / RING_UNIT];
}

/* Left by an earlier lap, or never used. */
static bool header_stale(struct ring_header header, uint64_t lsn)
{
    return ring_header_lsn(header) < lsn || ring_header_state(header) == RING_FREE;
}

struct ring_header ring_read_tail(const struct ring *ring)
{
    return word_read(&ring->tail->word);
}

void ring_swap_tail(const struct ring *ring, struct ring_header old, struct ring_header new)
{
    word_swap(&ring->tail->word, old, new);
}

/* Completes the header of the reservation that the tail names, if its owner has not come to it. A
 * CAS from the stale value, so doing it twice or too late does nothing. */
static void tail_help(const struct ring *ring, struct ring_header tail)
{
    uint64_t span = ring_extent_span(tail.extent);
    if (span == 0) /* nothing was ever reserved */
        return;
    uint64_t lsn = tail.position - span;
    struct ring_header header = ring_read(ring, lsn);
    if (header_stale(header, lsn)) {
        struct ring_header reserved = {lsn | RING_RESERVED, tail.extent};
        word_swap(header_at(ring, lsn), header, reserved);
    }
}

/* Whether `span` bytes behind `end` lie within the ring, by a head that may be old. An end that is
 * below the head or is no multiple of 64 leaves no room either: it was read long ago, or was stored
 * there by no producer in its right mind, and the flusher will mend it. */
static bool is_room(const struct ring *ring, uint64_t head, uint64_t end, uint64_t span)
{
    uint64_t used = end + span - head;
    return used - span <= ring->size && used <= ring->size && used % RING_UNIT == 0;
}

static bool has_room(struct ring *ring, uint64_t end, uint64_t span)
{
    uint64_t head = atomic_load_explicit(&ring->head_seen, memory_order_acquire); /* R4 */
    if (is_room(ring, head, end, span))
        return true;
    head = atomic_load_explicit(ring->head, memory_order_acquire); /* R2 */
    TELL_ACQUIRE(ring->head);
    atomic_store_explicit(&ring->head_seen, head, memory_order_release); /* R4 */
    return is_room(ring, head, end, span);
}

void ring_initialize(struct ring_tail_word *tail, uint64_t first_lsn)
{
    INVARIANT(first_lsn % RING_UNIT == 0);
    tail->word.AO_val1 = first_lsn;
    tail->word.AO_val2 = 0;
}

uint64_t ring_end(const struct ring *ring)
{
    return ring_read_tail(ring).position;
}

int ring_reserve(struct ring *ring, uint64_t owner, uint64_t span, uint64_t *lsn)
{
    INVARIANT(span % RING_UNIT == 0 && span <= RING_SPAN_MAX);
    for (unsigned lost = 0;; lost++) {
        struct ring_header tail = ring_read_tail(ring);
        if (!has_room(ring, tail.position, span)) {
            if (ring_end(ring) == tail.position)
                return -EAGAIN;
            continue; /* the head may have passed a tail that was read before it */
        }
        tail_help(ring, tail);
        struct ring_header next = {tail.position + span, ring_extent(owner, span)};
        if (word_swap(&ring->tail->word, tail, next)) { /* R3 */
            *lsn = tail.position;
            return 0;
        }
        word_step_back(lost);
    }
}

/* Reserved as `extent`, by its own header or, while that is stale, by the tail alone. */
static bool header_open(struct ring_header header, uint64_t lsn, uint64_t extent)
{
    bool reserved = header.position == (lsn | RING_RESERVED) && header.extent == extent;
    return reserved || header_stale(header, lsn);
}

/* Twice at most: the header changes under us only when somebody helps, once. */
bool ring_finish(const struct ring *ring, uint64_t owner, uint64_t lsn, uint64_t span,
                 enum ring_state state)
{
    uint64_t extent = ring_extent(owner, span);
    struct ring_header finished = {lsn | state, extent};
    TELL_RELEASE(ring->head);
    for (;;) {
        struct ring_header header = ring_read(ring, lsn);
        if (!header_open(header, lsn, extent))
            return false;
        if (word_swap(header_at(ring, lsn), header, finished)) /* R1 */
            return true;
    }
}

bool ring_is_open(const struct ring *ring, uint64_t owner, uint64_t lsn, uint64_t span)
{
    return header_open(ring_read(ring, lsn), lsn, ring_extent(owner, span));
}

struct ring_header ring_read(const struct ring *ring, uint64_t lsn)
{
    return word_read(header_at(ring, lsn));
}

bool ring_finished_at(const struct ring *ring, uint64_t lsn)
{
    struct ring_header header = ring_read(ring, lsn);
    return ring_header_lsn(header) == lsn && ring_header_state(header) >= RING_COMMITTED;
}

void ring_force_discarded(const struct ring *ring, uint64_t lsn, uint64_t span)
{
    struct ring_header discarded = {lsn | RING_DISCARDED, ring_extent(0, span)};
    while (!word_swap(header_at(ring, lsn), ring_read(ring, lsn), discarded))
        continue;
}

bool ring_find_open(const struct ring *ring, uint64_t lsn, struct ring_header *open)
{
    struct ring_header tail = ring_read_tail(ring);
    struct ring_header header = ring_read(ring, lsn);
    if (header_stale(header, lsn) && tail.position - ring_extent_span(tail.extent) == lsn) {
        header.position = lsn | RING_RESERVED;
        header.extent = tail.extent;
    }
    if (header.position != (lsn | RING_RESERVED) || ring_extent_span(header.extent) == 0)
        return false;
    *open = header;
    return true;
}

uint64_t ring_finished_until(const struct ring *ring, uint64_t lsn)
{
    uint64_t end = ring_end(ring);
    while (lsn < end) {
        struct ring_header header = ring_read(ring, lsn);
        uint64_t span = ring_extent_span(header.extent);
        bool own = ring_header_lsn(header) == lsn && span != 0;
        if (own && ring_header_state(header) >= RING_COMMITTED) {
            lsn += span;
            continue;
        }
        /* Relaxed: whoever has put another extent there saw this head (R2), and so do we. */
        uint64_t head = atomic_load_explicit(ring->head, memory_order_relaxed);
        if (head <= lsn)
            break;
        lsn = head;
    }
    return lsn;
}
