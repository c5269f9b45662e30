/* SPDX-License-Identifier: MIT
 * LINKED: src/region/region.c src/region/attachment.c src/ring/ring.c src/producer/wait.c
 *
 * A flusher that gathers for a while, as the handles' commit interval lets it, is woken by whoever
 * waits or asks it to stop, and by whoever attaches and would have it gather for less (A3). When a
 * handle is closed, it is the others' interval that counts.
 *
 * Knows src/flusher, src/producer, src/region. Changes with the protocol. */
#include "flusher/flusher.c" /* NOLINT: for its static functions */
#include "processes.h"
#include "producer/handle.h"

static struct flusher flusher;
static struct region eager;
static struct shmwal handle;
static _Atomic uint32_t generation = 1;
_Atomic(_Atomic uint32_t *) process_generation_word = &generation;

int fail(int error, const char *format, ...)
{
    (void)format;
    return -error;
}

bool handle_device_words(const shmwal *log, char words[HANDLE_DEVICE_WORDS])
{
    (void)log;
    (void)words;
    return false;
}

static void *disturb(void *unused)
{
#if defined(WANTS)
    int result = shmwal_wait(&handle, RING_UNIT, SHMWAL_DURABLE, 0);
    assert(result == -ETIMEDOUT);
#elif defined(STOPS)
    atomic_store(&control.stop_requested, STOP_REQUESTED);
    region_wake_flusher(&control);
#elif defined(LEAVES)
    number = eager.attachment;
    region_detach(&eager);
#else
    int error = region_attach(&log_directory, 0, &eager);
    assert(error == 0);
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
#ifdef LEAVES
    commit_interval_ns(&flusher);
#else
    while (gathered_longer(&flusher))
        continue;
#endif
    return unused;
}

int main(void)
{
    attach_first(&handle.region, 1, NS_PER_S);
#ifdef LEAVES
    attach_first(&eager, 2, 0);
#endif
    handle.generation = 1;
    serve(&flusher.region);
    flusher.region.region.ring.size = 4 * RING_UNIT;
    control.tail.word.AO_val1 = (uint64_t)RING_UNIT << 32;
    flusher.last_commit_ns = NS_PER_S;
#ifndef LEAVES
    commit_interval_ns(&flusher);
#endif
#ifdef DIES
    RUN(killed, disturb, flush);
#else
    RUN(disturb, flush);
#endif
    assert(!is_forgotten());
#ifdef LEAVES
    assert(commit_interval_ns(&flusher) == NS_PER_S);
#endif
    return 0;
}
