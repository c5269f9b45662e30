/* SPDX-License-Identifier: MIT
 * LINKED: src/producer/wait.c src/flusher/publish.c
 *
 * Somebody waits for an LSN or for a word at once, and another thread has a reason for it not to
 * wait: it is told, and sees the reason (W3). With SERVES the flusher makes the LSN durable
 * meanwhile.
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

static _Atomic uint32_t word;
static _Atomic bool reason;

unsigned store_in_flight(const struct store *store)
{
    (void)store;
    return 0;
}

uint64_t ring_end(const struct ring *ring)
{
    (void)ring;
    return RING_UNIT;
}

void region_ask_flusher(const struct region *region)
{
    (void)region;
}

/* As shmwal.h has it: the word is read before the caller looks for a reason. */
static void *wait(void *unused)
{
    shmwal_target target = {.log = &handle, .lsn = RING_UNIT, .level = SHMWAL_DURABLE};
    uint32_t seen = atomic_load_explicit(&word, memory_order_acquire);
    if (atomic_load_explicit(&reason, memory_order_relaxed))
        return unused;
    int got = shmwal_wait_any(&target, 1, -1, (const uint32_t *)&word, seen);
    assert(got == 1 || (got == 0 && atomic_load_explicit(&reason, memory_order_relaxed)));
    return unused;
}

static void *interrupt(void *unused)
{
    atomic_store_explicit(&reason, true, memory_order_relaxed);
    shmwal_wake((uint32_t *)&word);
    return unused;
}

#ifdef SERVES
static void *serve(void *unused)
{
    publish_durable(&flusher, RING_UNIT);
    return unused;
}
#endif

int main(void)
{
    flusher.region.region.control = handle.region.control = &control;
    flusher.region.region.state = flusher.region.state = &state;
    handle.region.state = &state;
    handle.generation = 1;
#ifdef SERVES
    RUN(wait, interrupt, serve);
#else
    RUN(wait, interrupt);
#endif
    assert(!is_forgotten());
    return 0;
}
