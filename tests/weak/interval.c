/* SPDX-License-Identifier: MIT
 * LINKED: src/region/region.c src/ring/ring.c src/producer/wait.c
 *
 * A flusher that gathers for a while, as the handles' commit interval lets it, is woken by whoever
 * waits, asks it to stop, or attaches and would have it gather for less.
 *
 * Knows src/flusher, src/producer, src/region. Changes with the protocol. */
#include "flusher/flusher.c" /* NOLINT: for its static functions */
#include "producer/handle.h"
#include "weak.h"

static struct ring_control control;
static struct flusher_state state;
static struct flusher flusher;
static struct shmwal handle;
static _Atomic uint32_t generation = 1;
_Atomic(_Atomic uint32_t *) process_generation_word = &generation;
static _Atomic uint64_t interval = NS_PER_S;

/* Of whoever has just attached; see region/attachment.c. */
uint64_t attachment_commit_interval_ns(const struct ring_control *of, int ring_fd)
{
    (void)of;
    (void)ring_fd;
    return atomic_load_explicit(&interval, memory_order_relaxed);
}

int fail(int error, const char *format, ...)
{
    (void)format;
    return -error;
}

static void *disturb(void *unused)
{
#if defined(WANTS)
    int result = shmwal_wait(&handle, RING_UNIT, SHMWAL_DURABLE, 0);
    assert(result == -ETIMEDOUT);
#elif defined(STOPS)
    atomic_store(&control.stop_requested, STOP_REQUESTED);
    region_wake_flusher(&control);
#else
    atomic_store_explicit(&interval, 0, memory_order_relaxed);
    atomic_fetch_add(&control.attachments_changed, 1);
    if (atomic_load(&control.awaited) == AWAITED_ANYTHING)
        region_wake_flusher(&control);
#endif
    return unused;
}

#ifdef DIES
/* Waits for the same, and is killed before it asks the flusher. */
static void *killed(void *unused)
{
    uint64_t wanted = 0;
    atomic_compare_exchange_strong(&control.wanted_lsn, &wanted, RING_UNIT);
    return unused;
}
#endif

static void *flush(void *unused)
{
    while (gathered_longer(&flusher))
        continue;
    return unused;
}

int main(void)
{
    flusher.region.region.control = &control;
    flusher.region.region.state = flusher.region.state = &state;
    handle.region.control = &control;
    handle.region.state = &state;
    handle.generation = 1;
    flusher.region.region.ring.tail = handle.region.ring.tail = &control.tail;
    flusher.region.region.ring.size = 4 * RING_UNIT;
    control.tail.word.AO_val1 = (uint64_t)RING_UNIT << 32;
    flusher.commit_interval_ns = NS_PER_S;
    flusher.last_commit_ns = NS_PER_S;
#ifdef DIES
    RUN(killed, disturb, flush);
#else
    RUN(disturb, flush);
#endif
    assert(!is_forgotten());
    return 0;
}
