/* SPDX-License-Identifier: MIT
 * See mend.h. */
#include "ring/mend.h"

/* The header at `lsn` is the own one of an extent that may be. */
static bool makes_sense(const struct ring *ring, struct ring_header header, uint64_t lsn,
                        uint64_t span_max, uint64_t end)
{
    uint64_t span = ring_extent_span(header.extent);
    enum ring_state state = ring_header_state(header);
    return ring_header_lsn(header) == lsn && state >= RING_RESERVED && state <= RING_DISCARDED &&
           span > 0 && span <= span_max && span <= ring->size && span <= end - lsn;
}

static bool tail_makes_sense(const struct ring *ring, struct ring_header tail, uint64_t lsn)
{
    return tail.position % RING_UNIT == 0 && tail.position - lsn <= ring->size;
}

/* Whether the tail says that its last extent begins at `lsn`. */
static bool tail_names(struct ring_header tail, uint64_t lsn)
{
    uint64_t span = ring_extent_span(tail.extent);
    return span > 0 && tail.position - span == lsn;
}

/* Whether an extent begins at `lsn`, below the tail's end. */
static bool begins_at(const struct ring *ring, struct ring_header tail, uint64_t lsn,
                      uint64_t span_max)
{
    return tail_names(tail, lsn) ||
           makes_sense(ring, ring_read(ring, lsn), lsn, span_max, tail.position);
}

enum ring_condition ring_examine(const struct ring *ring, uint64_t lsn, uint64_t span_max)
{
    struct ring_header tail = ring_read_tail(ring);
    if (!tail_makes_sense(ring, tail, lsn))
        return RING_TAIL_BROKEN;
    if (tail.position == lsn)
        return RING_EMPTY;
    struct ring_header header = ring_read(ring, lsn);
    if (ring_header_lsn(header) < lsn || ring_header_state(header) == RING_FREE) {
        bool possible = tail_names(tail, lsn) && ring_extent_span(tail.extent) <= span_max;
        return possible ? RING_OPEN : RING_BROKEN;
    }
    if (!makes_sense(ring, header, lsn, span_max, tail.position))
        return RING_BROKEN;
    uint64_t next = lsn + ring_extent_span(header.extent);
    if (next != tail.position && !begins_at(ring, tail, next, span_max))
        return RING_BROKEN;
    return ring_header_state(header) == RING_RESERVED ? RING_OPEN : RING_FINISHED;
}

void ring_mend_tail(const struct ring *ring, uint64_t lsn, uint64_t span_max)
{
    struct ring_header tail = ring_read_tail(ring), mended = {lsn, 0};
    if (tail_makes_sense(ring, tail, lsn))
        return;
    for (uint64_t at = lsn, end = lsn + ring->size; at < end; at += RING_UNIT) {
        struct ring_header header = ring_read(ring, at);
        if (makes_sense(ring, header, at, span_max, end) &&
            at + ring_extent_span(header.extent) > mended.position)
            mended.position = at + ring_extent_span(header.extent);
    }
    ring_swap_tail(ring, tail, mended);
}

uint64_t ring_skip_damage(const struct ring *ring, uint64_t lsn, uint64_t span_max)
{
    struct ring_header tail = ring_read_tail(ring);
    uint64_t next = lsn + RING_UNIT, span;
    while (next < tail.position && !begins_at(ring, tail, next, span_max))
        next += RING_UNIT;
    for (uint64_t at = lsn; at < next; at += span) {
        span = next - at < span_max ? next - at : span_max;
        ring_force_discarded(ring, at, span);
    }
    return next - lsn;
}
