/* SPDX-License-Identifier: MIT
 *
 * Watermarks, and waiting for them.
 *
 * Waiters sleep on futexes in the flusher's state, spread over shards by LSN, and are woken by the
 * commit that serves them. A waiter sets its shard's flag so that the flusher makes no call for
 * nobody; one that is killed leaves at most one wake-up too many. No wake-up is lost (W1, W2):
 *
 *   W1  shard_wanted (seq_cst store), then durable_lsn (load)
 *         ↔  durable_lsn (seq_cst store), then shard_wanted (exchange), in flusher/publish.c
 *   W2  the sequence is read before W1, and the flusher adds one behind W1: who read it before that
 *       does not sleep
 *
 * Knows handle, ring. */
#include "base/error.h"
#include "producer/handle.h"
#include "sys/clock.h"
#include "sys/futex.h"

#include <errno.h>

enum {
    FLUSHER_CHECK_MS = 50, /* as long a killed flusher goes unnoticed by a waiter */
    COMMITTED_LOOK_MS = 1, /* nobody announces commits: a waiter for one looks this often */
};

static uint64_t durable_lsn(const shmwal *log)
{
    return atomic_load(&log->region.state->durable_lsn);
}

SHMWAL_API uint64_t shmwal_lsn(const shmwal *log, shmwal_level level)
{
    /* A forked child attaches here too; the handle is the caller's and not const in truth. */
    if (log == NULL || handle_ready((shmwal *)log) < 0)
        return 0;
    if (level == SHMWAL_DURABLE)
        return durable_lsn(log);
    if (level == SHMWAL_COMMITTED)
        return ring_finished_until(&log->region.ring, durable_lsn(log));
    return 0;
}

SHMWAL_API uint64_t shmwal_reserved_lsn(const shmwal *log)
{
    if (log == NULL || handle_ready((shmwal *)log) < 0)
        return 0;
    return ring_end(&log->region.ring);
}

static bool reached(const shmwal *log, uint64_t lsn, shmwal_level level)
{
    if (durable_lsn(log) >= lsn)
        return true;
    return level == SHMWAL_COMMITTED && shmwal_lsn(log, SHMWAL_COMMITTED) >= lsn;
}

/* Raises the highest LSN waited for, and wakes a flusher that sleeps in ignorance of it. */
static void want(const struct region *region, uint64_t lsn)
{
    _Atomic uint64_t *highest = &region->control->wanted_lsn;
    uint64_t wanted = atomic_load(highest);
    while (wanted < lsn && !atomic_compare_exchange_weak(highest, &wanted, lsn))
        continue;
    region_ask_flusher(region);
}

static int fail_late(const shmwal *log, uint64_t lsn, int64_t timeout_ns)
{
    return fail(ETIMEDOUT, "%s: LSN %llu was not reached within %.3f s: all below %llu is durable",
                log->path, (unsigned long long)lsn, (double)timeout_ns / 1e9,
                (unsigned long long)durable_lsn(log));
}

static int wait_reached(shmwal *log, uint64_t lsn, shmwal_level level, int64_t timeout_ns)
{
    uint32_t shard = wait_shard_index(lsn);
    const _Atomic uint32_t *sequence = &log->region.state->shards[shard].sequence;
    int64_t deadline = deadline_from_timeout(timeout_ns);
    int64_t slice = (level == SHMWAL_COMMITTED ? COMMITTED_LOOK_MS : FLUSHER_CHECK_MS) * NS_PER_MS;
    want(&log->region, lsn);
    for (;;) {
        uint32_t seen = atomic_load(sequence);                      /* W2 */
        atomic_store(&log->region.control->shard_wanted[shard], 1); /* W1 */
        if (reached(log, lsn, level))
            return 0;
        int error = handle_flusher_usable(log);
        if (error < 0)
            return error;
        int64_t now = clock_monotonic_ns();
        if (now >= deadline)
            return fail_late(log, lsn, timeout_ns);
        int64_t check = now + slice;
        int woken = sys_futex_wait(sequence, seen, check < deadline ? check : deadline);
        /* At the deadline too: who waits often and briefly would never replace a dead one. */
        if (woken == -ETIMEDOUT && level == SHMWAL_DURABLE)
            error = handle_start_flusher(log, false);
        if (error < 0)
            return error;
    }
}

SHMWAL_API int shmwal_wait(shmwal *log, uint64_t lsn, shmwal_level level, int64_t timeout_ns)
{
    if (log == NULL)
        return fail(EINVAL, "shmwal_wait needs a log");
    int error = handle_ready(log);
    if (error < 0)
        return error;
    if (level == SHMWAL_REPLICATED)
        return fail(ENOTSUP, "%s: nothing replicates this log", log->path);
    if (level != SHMWAL_DURABLE && level != SHMWAL_COMMITTED)
        return fail(EINVAL, "there is no level %d", (int)level);
    if (reached(log, lsn, level))
        return 0;
    if (lsn > ring_end(&log->region.ring))
        return fail(
            EINVAL, "%s: LSN %llu lies beyond the log's end, %llu: no append has returned it",
            log->path, (unsigned long long)lsn, (unsigned long long)ring_end(&log->region.ring));
    return wait_reached(log, lsn, level, timeout_ns);
}
