/* SPDX-License-Identifier: MIT
 * See room.h.
 *
 * The doorbell. A flusher that finds nothing to do publishes in `awaited` what it waits for: the
 * end of the one reservation that holds it up, or, with an empty ring, whatever comes. It looks
 * once more, and sleeps. Who finishes an extent looks at `awaited` behind a full barrier. One of
 * the two sees the other (D1), and only an extent that matters costs a call:
 *
 *   D1  finish (full), then awaited (load)
 *         ↔  awaited (seq_cst store), then tail and header (load)
 *
 * Who wakes it clears `awaited` first, so that others need not, and may be killed before it rings.
 * So the flusher says in its own state, too, that it sleeps, and whoever is about to wait rings if
 * `awaited` is clear all the same. Who sees `awaited` cleared sees what was stored before it was
 * set (D3):
 *
 *   D3  awaited (load), then asleep (relaxed)
 *         ↔  asleep (relaxed), then awaited (seq_cst store)
 *
 * Room. A producer that finds the ring full asks for a wake-up, looks again, and sleeps (D2):
 *
 *   D2  room_wanted (seq_cst store), then head (load)
 *         ↔  head (seq_cst store), then room_wanted (exchange)
 *   D4  room_sequence (acquire), then D2's store
 *         ↔  D2's exchange, then room_sequence one more (release): as W2 of producer/wait.c */
#include "producer/room.h"

#include "base/error.h"
#include "region/attachment.h"
#include "region/held.h"
#include "sys/clock.h"
#include "sys/futex.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* How long a producer sleeps before it makes sure that a flusher lives: a flusher that is killed
 * wakes nobody. */
enum { FLUSHER_CHECK_MS = 50 };

/* Who holds it up, as far as the flusher's state tells. */
static void explain_full(const shmwal *log, char why[HANDLE_DEVICE_WORDS])
{
    char words[ATTACHMENT_WORDS];
    const struct region *region = &log->region;
    const struct flusher_state *state = region->state;
    size_t size = HANDLE_DEVICE_WORDS;
    struct held held;
    if (atomic_load(&state->status) == FLUSHER_NONE)
        snprintf(why, size, "no flusher has been started yet");
    else if (handle_device_words(log, why))
        return;
    else if (held_read(state, &held))
        snprintf(why, size, "%s has a reservation open at LSN %llu for %.1f s",
                 attachment_words(region->control, held.owner, words), (unsigned long long)held.lsn,
                 (double)(clock_monotonic_ns() - held.since_ns) / 1e9);
    else
        snprintf(why, size, "records come faster than the device takes them");
}

__attribute__((cold)) static int fail_full(const shmwal *log, uint64_t span, int64_t timeout_ns)
{
    char why[HANDLE_DEVICE_WORDS];
    unsigned long long size = log->region.ring.size, wanted = span;
    if (region_is_lost(&log->region))
        return region_fail_lost(log->path);
    explain_full(log, why);
    if (timeout_ns == 0)
        return fail(EAGAIN, "%s: the ring, %llu bytes, has no room for %llu now: %s", log->path,
                    size, wanted, why);
    return fail(ETIMEDOUT, "%s: the ring, %llu bytes, had no room for %llu within %.3f s: %s",
                log->path, size, wanted, (double)timeout_ns / 1e9, why);
}

__attribute__((noinline, cold)) static int reserve_waiting(shmwal *log, uint64_t span,
                                                           int64_t timeout_ns, uint64_t *lsn)
{
    struct region *region = &log->region;
    int64_t deadline = deadline_from_timeout(timeout_ns);
    for (;;) {
        uint32_t seen =
            atomic_load_explicit(&region->state->room_sequence, memory_order_acquire); /* D4 */
        atomic_store(&region->control->room_wanted, 1);                                /* D2 */
        uint64_t head = atomic_load(&region->state->head_lsn);                         /* D2 */
        atomic_store_explicit(&region->ring.head_seen, head, memory_order_release);    /* R4 */
        int error = handle_flusher_usable(log);
        if (error < 0)
            return error;
        if (ring_reserve(&region->ring, region->attachment, span, lsn) == 0)
            return 0;
        int64_t now = clock_monotonic_ns();
        if (now >= deadline)
            return fail_full(log, span, timeout_ns);
        region_ask_flusher(region);
        int64_t check = now + FLUSHER_CHECK_MS * NS_PER_MS;
        pthread_testcancel(); /* nothing is held here */
        int woken = sys_futex_wait(&region->state->room_sequence, seen,
                                   check < deadline ? check : deadline);
        if (woken == -ETIMEDOUT) /* at the deadline too, as in producer/wait.c */
            error = handle_revive_flusher(log);
        if (error < 0)
            return error;
    }
}

int room_reserve(shmwal *log, uint64_t span, int64_t timeout_ns, uint64_t *lsn)
{
    struct region *region = &log->region;
    int error = handle_flusher_usable(log);
    if (error < 0)
        return error;
    if (__builtin_expect(ring_reserve(&region->ring, region->attachment, span, lsn) == 0, 1))
        return 0;
    if (timeout_ns == 0)
        return fail_full(log, span, 0);
    return reserve_waiting(log, span, timeout_ns, lsn);
}

int room_check_length(const shmwal *log, uint64_t length)
{
    if (__builtin_expect(length <= log->length_max, 1))
        return 0;
    return fail(EMSGSIZE,
                "a record of %llu bytes is larger than %s can take: %llu bytes, half its ring and "
                "less than a segment; create a log with a larger ring_bytes",
                (unsigned long long)length, log->path, (unsigned long long)log->length_max);
}

__attribute__((noinline, cold)) static void ring_doorbell(struct region *region, uint64_t lsn,
                                                          uint64_t awaited)
{
    uint64_t used = lsn - atomic_load_explicit(&region->state->head_lsn, memory_order_relaxed);
    bool filling = awaited == AWAITED_ANYTHING && used > region->ring.size / 2;
    if (awaited == AWAITED_NEXT || awaited == (lsn | AWAITED_RECORD) || filling)
        region_wake_flusher(region->control);
}

bool room_finish(shmwal *log, uint64_t lsn, uint64_t span, enum ring_state state)
{
    struct region *region = &log->region;
    if (!ring_finish(&region->ring, region->attachment, lsn, span, state))
        return false;
    uint64_t awaited =
        atomic_load_explicit(&region->control->awaited, memory_order_seq_cst); /* D1 */
    if (__builtin_expect(awaited != 0, 0))
        ring_doorbell(region, lsn, awaited);
    return true;
}
