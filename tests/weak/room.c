/* SPDX-License-Identifier: MIT
 * LINKED: src/producer/room.c src/ring/ring.c src/flusher/publish.c
 *
 * The ring is full. Somebody waits for room while the flusher gives memory back, or freezes: nobody
 * sleeps although there is room, or there will be none (D2).
 *
 * Knows src/producer, src/flusher, src/ring. Changes with the protocol. */
#include "producer/room.h"
#include "flusher/flusher.h"
#include "producer/handle.h"
#include "weak.h"

static struct ring_control control;
static struct flusher_state state;
static struct flusher flusher;
static struct shmwal handle;
static AO_double_t headers[1];
static uint64_t memory[RING_UNIT / 8];

unsigned store_in_flight(const struct store *store)
{
    (void)store;
    return 0;
}

void region_ask_flusher(const struct region *region)
{
    (void)region;
}

void pthread_testcancel(void) {}

int handle_flusher_error(const shmwal *log)
{
    assert(log->region.state->device_errno == EIO);
    return -EIO;
}

static void *produce(void *unused)
{
    uint64_t lsn;
    int result = room_reserve(&handle, RING_UNIT, -1, &lsn);
    assert(result == -EIO || (result == 0 && lsn == RING_UNIT));
    if (result == 0)
        memory[0] = 2;
    return unused;
}

/* Another thread of its process, or another one, which does not wait and looks for room but once,
 * or is killed when it has asked for it. */
static void *disturb(void *unused)
{
#ifdef TAKES_OVER
    atomic_store(&control.room_wanted, 1);
#else
    uint64_t lsn;
    if (ring_reserve(&handle.region.ring, 1, RING_UNIT, &lsn) == 0)
        memory[0] = 2;
#endif
    return unused;
}

static void *flush(void *unused)
{
#ifdef FREEZES
    publish_status(&flusher, FLUSHER_FROZEN, EIO);
#else
#ifdef TAKES_OVER
    publish_status(&flusher, FLUSHER_RUNNING, 0); /* and wakes whoever wants room */
#endif
    assert(memory[0] == 1);
    publish_durable(&flusher, RING_UNIT);
#endif
    return unused;
}

int main(void)
{
    struct ring *ring = &handle.region.ring;
    ring_initialize(&control.tail, 0);
    ring->tail = &control.tail;
    ring->headers = headers;
    ring->bytes = (char *)memory;
    ring->size = sizeof memory;
    ring->head = &state.head_lsn;
    handle.region.control = flusher.region.region.control = &control;
    handle.region.state = flusher.region.region.state = flusher.region.state = &state;
    handle.region.attachment = 1;
    flusher.region.region.ring.size = ring->size;
    uint64_t lsn;
    int error = ring_reserve(ring, 1, RING_UNIT, &lsn);
    memory[0] = 1;
    assert(error == 0 && ring_finish(ring, 1, lsn, RING_UNIT, RING_COMMITTED));
    RUN(produce, disturb, flush);
    bool full = ring_end(ring) - state.head_lsn == ring->size && state.status != FLUSHER_FROZEN;
    assert(full || !is_forgotten());
    return 0;
}
