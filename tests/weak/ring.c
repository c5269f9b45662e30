/* SPDX-License-Identifier: MIT
 * LINKED: src/ring/ring.c src/flusher/publish.c
 *
 * Two producers and the flusher, over a ring that is used again: what the flusher takes at an LSN
 * is what one producer stored there, and each record is taken once (R1 to R4). With DISCARDS the
 * first producer thinks better of each of its records. The checker sees to it by itself that no two
 * of them touch an extent's memory at once.
 *
 * Knows src/ring, src/flusher. Changes with the protocol. */
#include "ring/ring.h"
#include "flusher/flusher.h"
#include "weak.h"

#ifndef UNITS
#define UNITS 1 /* of the ring */
#endif
#ifndef FIRST
#define FIRST 1 /* records of the first producer */
#endif
#ifndef SECOND
#define SECOND 1
#endif
#ifndef PROCESSES
#define PROCESSES 2 /* 1: the producers are threads of one */
#endif

/* What becomes of the records of owner 1, 2. */
static const enum ring_state ends[] = {
    RING_FREE,
#ifdef DISCARDS
    RING_DISCARDED,
#else
    RING_COMMITTED,
#endif
    RING_COMMITTED,
};

static struct ring_control control;
static struct flusher_state state;
static AO_double_t headers[UNITS];
static uint64_t memory[UNITS][RING_UNIT / 8];
static struct ring process[2];
static struct flusher flusher;

static void attach(struct ring *ring)
{
    ring->tail = &control.tail;
    ring->headers = headers;
    ring->bytes = (char *)memory;
    ring->size = sizeof memory;
    ring->head = &state.head_lsn;
}

unsigned store_in_flight(const struct store *store)
{
    (void)store;
    return 0;
}

static void append(struct ring *ring, uint64_t owner)
{
    uint64_t lsn = 0;
    __VERIFIER_assume(ring_reserve(ring, owner, RING_UNIT, &lsn) == 0);
    *(uint64_t *)ring_at(ring, lsn) = lsn << 8 | owner;
    bool finished = ring_finish(ring, owner, lsn, RING_UNIT, ends[owner]);
    assert(finished);
}

static void *first(void *unused)
{
    for (int i = 0; i < FIRST; i++)
        append(&process[0], 1);
    return unused;
}

static void *second(void *unused)
{
    for (int i = 0; i < SECOND; i++)
        append(&process[PROCESSES - 1], 2);
    return unused;
}

/* As flusher/gather.c does. */
static void *flush(void *unused)
{
    const struct ring *ring = &flusher.region.region.ring;
    unsigned taken[3] = {0, 0, 0};
    for (uint64_t lsn = 0; lsn < (FIRST + SECOND) * RING_UNIT; lsn += RING_UNIT) {
        struct ring_header header = ring_read(ring, lsn);
        uint64_t owner = ring_extent_owner(header.extent);
        __VERIFIER_assume(owner != 0 && header.position == (lsn | ends[owner]));
        if (ends[owner] == RING_COMMITTED)
            assert(*(uint64_t *)ring_at(ring, lsn) == (lsn << 8 | owner));
        taken[owner]++;
        publish_durable(&flusher, lsn + RING_UNIT);
    }
    assert(taken[1] == FIRST && taken[2] == SECOND);
    return unused;
}

int main(void)
{
    ring_initialize(&control.tail, 0);
    attach(&process[0]);
    attach(&process[1]);
    attach(&flusher.region.region.ring);
    flusher.region.region.control = &control;
    flusher.region.region.state = flusher.region.state = &state;
    RUN(first, second, flush);
    return 0;
}
