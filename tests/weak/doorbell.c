/* SPDX-License-Identifier: MIT
 * LINKED: src/ring/ring.c src/ring/mend.c src/producer/room.c src/region/region.c
 * LINKED: src/flusher/orphan.c src/region/held.c
 *
 * Producers append to an empty ring while the flusher takes what is finished and rests in between:
 * it does not sleep on what is finished (D1). With DIES, one producer is killed when it should
 * ring, and another one, who comes and waits after that, rings in its place (D3).
 *
 * Knows src/producer, src/flusher, src/region, src/ring. Changes with the protocol. */
#include "flusher/flusher.c" /* NOLINT: for its static functions */
#include "producer/handle.h"
#include "producer/room.h"
#include "weak.h"

#ifndef RECORDS
#define RECORDS 1
#endif

static struct ring_control control;
static struct flusher_state state;
static struct flusher flusher;
static struct shmwal handle[2];
static AO_double_t headers[RECORDS];
static uint64_t memory[RECORDS][RING_UNIT / 8];

int attachment_alive(int ring_fd, uint64_t id)
{
    (void)ring_fd;
    (void)id;
    return 1;
}

int sys_fstat(int fd, struct stat *status)
{
    (void)fd;
    (void)status;
    return -EBADF;
}

static void attach(struct region *region, uint64_t attachment)
{
    region->ring.tail = &control.tail;
    region->ring.headers = headers;
    region->ring.bytes = (char *)memory;
    region->ring.size = sizeof memory;
    region->ring.head = &state.head_lsn;
    region->control = &control;
    region->state = &state;
    region->attachment = attachment;
}

static void append(shmwal *log)
{
    uint64_t lsn;
    int error = room_reserve(log, RING_UNIT, 0, &lsn);
    assert(error == 0 && room_finish(log, lsn, RING_UNIT, RING_COMMITTED));
}

#ifdef DIES

static _Atomic int dead;

/* Room_finish() up to where the flusher's notice is cleared. */
static void *first(void *unused)
{
    uint64_t lsn;
    struct region *region = &handle[0].region;
    int error = room_reserve(&handle[0], RING_UNIT, 0, &lsn);
    assert(error == 0);
    ring_finish(&region->ring, region->attachment, lsn, RING_UNIT, RING_COMMITTED);
    if (atomic_load(&control.awaited) != 0)
        atomic_exchange(&control.awaited, 0);
    atomic_store(&dead, 1);
    return unused;
}

static void *second(void *unused)
{
    __VERIFIER_assume(atomic_load(&dead) == 1);
    for (int i = 1; i < RECORDS; i++)
        append(&handle[1]);
    region_ask_flusher(&handle[1].region);
    return unused;
}

#else

static void *first(void *unused)
{
    append(&handle[0]);
    return unused;
}

static void *second(void *unused)
{
    for (int i = 1; i < RECORDS; i++)
        append(&handle[1]);
    return unused;
}

#endif

/* As flusher_run() does, but for the writing. */
static void *flush(void *unused)
{
    while (flusher.gathered < RECORDS * RING_UNIT) {
        if (ring_finished_at(&flusher.region.region.ring, flusher.gathered))
            flusher.gathered += RING_UNIT;
        else
            rest(&flusher);
    }
    return unused;
}

int main(void)
{
    ring_initialize(&control.tail, 0);
    attach(&handle[0].region, 1);
    attach(&handle[1].region, 2);
    attach(&flusher.region.region, 0);
    flusher.region.state = &state;
    flusher.sealed = true;
    flusher.span_max = RING_UNIT;
    RUN(first, second, flush);
    assert(!is_forgotten());
    return 0;
}
