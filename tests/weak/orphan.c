/* SPDX-License-Identifier: MIT
 * LINKED: src/ring/ring.c src/ring/mend.c src/flusher/orphan.c src/flusher/publish.c
 * LINKED: src/region/held.c src/region/attachment.c
 *
 * A producer reserves, stores, and is killed before it has finished its record, or with FINISHES
 * just behind that. The flusher fills what was left open and nothing else, and another producer,
 * which may have helped, gets the memory: nobody touches it at once with the dead one (R1, R2).
 *
 * Knows src/ring, src/flusher. Changes with the protocol. */
#include "flusher/flusher.h"
#include "region/attachment.h"
#include "ring/ring.h"
#include "weak.h"

#ifdef FINISHES
#define MAY_BE_FILLED false
#else
#define MAY_BE_FILLED true
#endif

enum { DEAD = 1, OTHER = 2 };

static struct ring_control control;
static struct flusher_state state;
static AO_double_t headers[1];
static uint64_t memory[RING_UNIT / 8];
static struct ring process[2];
static struct flusher flusher;
static _Atomic int dead;

unsigned store_in_flight(const struct store *store)
{
    (void)store;
    return 0;
}

/* The kernel's book of locks. */
int sys_lock_held(int fd, uint64_t first, uint64_t count)
{
    (void)fd;
    assert(count == 1);
    return first != LOCK_ATTACHMENTS + DEAD ||
           atomic_load_explicit(&dead, memory_order_acquire) == 0;
}

bool journal_worth(uint64_t count)
{
    (void)count;
    return false;
}

static void attach(struct ring *ring)
{
    ring->tail = &control.tail;
    ring->headers = headers;
    ring->bytes = (char *)memory;
    ring->size = sizeof memory;
    ring->head = &state.head_lsn;
}

static uint64_t store(struct ring *ring, uint64_t owner)
{
    uint64_t lsn;
    __VERIFIER_assume(ring_reserve(ring, owner, RING_UNIT, &lsn) == 0);
    memory[0] = owner;
    return lsn;
}

static void *die(void *unused)
{
    uint64_t lsn = store(&process[0], DEAD);
#ifdef FINISHES
    bool finished = ring_finish(&process[0], DEAD, lsn, RING_UNIT, RING_COMMITTED);
    assert(finished);
#else
    (void)lsn;
#endif
    atomic_store_explicit(&dead, 1, memory_order_release);
    return unused;
}

static void *append(void *unused)
{
    uint64_t lsn = store(&process[1], OTHER);
    bool finished = ring_finish(&process[1], OTHER, lsn, RING_UNIT, RING_COMMITTED);
    assert(finished);
    return unused;
}

static void *flush(void *unused)
{
    const struct ring *ring = &flusher.region.region.ring;
    while (flusher.gathered < 2 * RING_UNIT) {
        __VERIFIER_assume(orphan_resolve(&flusher));
        struct ring_header header = ring_read(ring, flusher.gathered);
        uint64_t owner = ring_extent_owner(header.extent);
        if (ring_header_state(header) == RING_COMMITTED)
            assert(memory[0] == owner);
        else
            assert(owner == DEAD && MAY_BE_FILLED);
        flusher.gathered += RING_UNIT;
        publish_durable(&flusher, flusher.gathered);
    }
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
    flusher.span_max = RING_UNIT;
    RUN(die, append, flush);
    return 0;
}
