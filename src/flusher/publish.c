/* SPDX-License-Identifier: MIT
 *
 * Telling the world: watermarks first, then wake-ups for those whom they serve and nobody else.
 *
 * The orderings W1, W2 (waiters for an LSN, producer/wait.c) and D2 (waiters for room,
 * producer/room.c) have their flusher's side here. The head is R2 of ring/ring.c. */
#include "flusher/flusher.h"

#include "sys/futex.h"

enum { ROOM_PARTS = 8 };

static void wake_shard(struct flusher *flusher, uint32_t shard)
{
    struct wait_shard *place = &flusher->region.state->shards[shard];
    if (atomic_load(&flusher->region.region.control->shard_wanted[shard]) == 0)
        return; /* W1 */
    atomic_store_explicit(&flusher->region.region.control->shard_wanted[shard], 0,
                          memory_order_relaxed);
    atomic_fetch_add_explicit(&place->sequence, 1, memory_order_release); /* W2 */
    sys_futex_wake(&place->sequence);
}

/* Producers that are let in one by one for each frame would do nothing but fall asleep and wake up:
 * they wait until a part of the ring is free, or nothing more will be for now. */
static bool room_worth_waking(struct flusher *flusher)
{
    uint64_t freed = flusher->durable - flusher->room_told;
    return freed >= flusher->region.region.ring.size / ROOM_PARTS ||
           store_in_flight(flusher->store) == 0;
}

static void wake_room(struct flusher *flusher)
{
    flusher->room_told = flusher->durable;
    if (atomic_exchange(&flusher->region.region.control->room_wanted, 0) == 0)
        return; /* D2 */
    atomic_fetch_add_explicit(&flusher->region.state->room_sequence, 1,
                              memory_order_release); /* D4 */
    sys_futex_wake(&flusher->region.state->room_sequence);
}

void publish_durable(struct flusher *flusher, uint64_t lsn)
{
    uint64_t first = flusher->durable / FORMAT_UNIT + 1, last = lsn / FORMAT_UNIT;
    uint64_t shards = last - first + 1 < WAIT_SHARDS ? last - first + 1 : WAIT_SHARDS;
    flusher->durable = lsn;
    atomic_store(&flusher->region.state->durable_lsn, lsn); /* W1 */
    atomic_store(&flusher->region.state->head_lsn, lsn);    /* R2, D2 */
    for (uint64_t i = 0; i < shards; i++)
        wake_shard(flusher, (uint32_t)((first + i) % WAIT_SHARDS));
    if (room_worth_waking(flusher))
        wake_room(flusher);
}

void publish_status(struct flusher *flusher, enum flusher_status status, int device_errno)
{
    struct flusher_state *state = flusher->region.state;
    atomic_store_explicit(&state->device_errno, device_errno, memory_order_relaxed);
    atomic_store(&state->status, status); /* W1, D2; and who sees it sees the errno */
    for (uint32_t i = 0; i < WAIT_SHARDS; i++)
        wake_shard(flusher, i);
    wake_room(flusher);
}
