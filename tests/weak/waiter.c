/* SPDX-License-Identifier: MIT
 * LINKED: src/producer/wait.c src/flusher/publish.c
 *
 * Somebody waits for an LSN while the flusher makes it durable, or freezes: nobody sleeps on who is
 * served, and who is told that an LSN is durable sees it (W1, W2).
 *
 * Knows src/producer, src/flusher. Changes with the protocol. */
#include "flusher/flusher.h"
#include "producer/handle.h"
#include "weak.h"

static struct ring_control control;
static struct flusher_state state;
static struct flusher flusher;
static struct shmwal handle;
static _Atomic uint32_t generation = 1;
_Atomic(_Atomic uint32_t *) process_generation_word = &generation;

#define LSN (2 * RING_UNIT) /* that is waited for */

unsigned store_in_flight(const struct store *store)
{
    (void)store;
    return 0;
}

uint64_t ring_end(const struct ring *ring)
{
    (void)ring;
    return LSN;
}

void region_ask_flusher(const struct region *region)
{
    (void)region;
}

int handle_flusher_error(const shmwal *log)
{
    assert(log->region.state->device_errno == EIO);
    return -EIO;
}

static void *wait(void *unused)
{
    int result = shmwal_wait(&handle, LSN, SHMWAL_DURABLE, -1);
    assert(result == 0 || result == -EIO);
    return unused;
}

static void *flush(void *unused)
{
#ifdef FREEZES
    publish_status(&flusher, FLUSHER_FROZEN, EIO);
#elif defined(TAKES_OVER)
    publish_status(&flusher, FLUSHER_RUNNING, 0); /* and clears the flag of somebody else */
    publish_durable(&flusher, LSN);
#else
    publish_durable(&flusher, LSN / 2);
    publish_durable(&flusher, LSN);
#endif
    return unused;
}

int main(void)
{
    flusher.region.region.control = handle.region.control = &control;
    flusher.region.region.state = flusher.region.state = &state;
    handle.region.state = &state;
    handle.generation = 1;
    atomic_store(&control.shard_wanted[wait_shard_index(LSN)], 1);
    RUN(wait, flush);
    assert(!is_forgotten());
    return 0;
}
