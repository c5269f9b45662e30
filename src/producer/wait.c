/* SPDX-License-Identifier: MIT
 *
 * Watermarks, and waiting for them: for any of several targets, of which a single one is a case.
 *
 * Waiters sleep on futexes in the flusher's state, spread over shards by LSN, and are woken by the
 * commit that serves them. A waiter sets its shard's flag so that the flusher makes no call for
 * nobody; one that is killed leaves at most one wake-up too many. No wake-up is lost (W1, W2):
 *
 *   W1  shard_wanted (seq_cst store), then durable_lsn (load)
 *         ↔  durable_lsn (seq_cst store), then shard_wanted (load), in flusher/publish.c
 *   W2  sequence (acquire), then W1's store
 *         ↔  W1's load, flag cleared, then sequence one more (release): who read it before does not
 *            sleep, and who read it after sets the flag anew
 *   W3  the interrupting word one more (release)  →  the word (acquire): who returns for it sees
 *            what its waker had done before; so the caller's own reading should be an acquire
 *
 * Knows handle, ring. */
#include "base/error.h"
#include "producer/handle.h"
#include "sys/clock.h"
#include "sys/futex.h"

#include <errno.h>
#include <pthread.h>

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
    char why[HANDLE_DEVICE_WORDS];
    bool held_up = handle_device_words(log, why);
    return fail(ETIMEDOUT,
                "%s: LSN %llu was not reached within %.3f s: all below %llu is durable%s%s",
                log->path, (unsigned long long)lsn, (double)timeout_ns / 1e9,
                (unsigned long long)durable_lsn(log), held_up ? "; " : "", held_up ? why : "");
}

/* ---- One target ---- */

/* A target that is neither reached nor failed. */
enum { PENDING = -EINPROGRESS };

static int begin(const shmwal_target *target)
{
    shmwal *log = target->log;
    if (log == NULL)
        return fail(EINVAL, "to wait needs a log");
    int error = handle_ready(log);
    if (error < 0)
        return error;
    if (target->level == SHMWAL_REPLICATED)
        return fail(ENOTSUP, "%s: nothing replicates this log", log->path);
    if (target->level != SHMWAL_DURABLE && target->level != SHMWAL_COMMITTED)
        return fail(EINVAL, "there is no level %d", (int)target->level);
    bool ahead = (target->flags & SHMWAL_AHEAD) != 0;
    if ((target->flags & ~(uint32_t)(SHMWAL_AHEAD | SHMWAL_NO_START)) != 0 ||
        (ahead && target->level != SHMWAL_DURABLE))
        return fail(EINVAL, "a target's flags 0x%x are unknown or do not fit its level",
                    target->flags);
    if (reached(log, target->lsn, target->level))
        return 0;
    if (ahead)
        return PENDING;
    if (target->lsn > ring_end(&log->region.ring))
        return fail(EINVAL,
                    "%s: LSN %llu lies beyond the log's end, %llu: no append has returned it",
                    log->path, (unsigned long long)target->lsn,
                    (unsigned long long)ring_end(&log->region.ring));
    want(&log->region, target->lsn);
    return PENDING;
}

/* A stop or a device that failed ends no wait for what is yet to come. */
static int check_usable(const shmwal_target *target)
{
    if (!(target->flags & SHMWAL_AHEAD))
        return handle_flusher_usable(target->log);
    return region_is_lost(&target->log->region) ? region_fail_lost(target->log->path) : 0;
}

/* Asks to be woken, then looks. */
static int arm(const shmwal_target *target, struct sys_futex_seen *place)
{
    const shmwal *log = target->log;
    uint32_t shard = wait_shard_index(target->lsn);
    place->word = &log->region.state->shards[shard].sequence;
    place->value = atomic_load_explicit(place->word, memory_order_acquire); /* W2 */
    atomic_store(&log->region.control->shard_wanted[shard], 1);             /* W1 */
    if (reached(log, target->lsn, target->level))
        return 0;
    int error = check_usable(target);
    return error < 0 ? error : PENDING;
}

static bool needs_flusher(const shmwal_target *target)
{
    return target->level == SHMWAL_DURABLE && !(target->flags & SHMWAL_AHEAD) &&
           !(target->log->flags & SHMWAL_NO_FLUSHER);
}

static int check_flusher(const shmwal_target *target)
{
    int error = 0;
    if (!(target->flags & SHMWAL_NO_START))
        error = handle_revive_flusher(target->log);
    else if (!region_is_served(&target->log->region))
        error =
            fail(EOWNERDEAD, "%s: no flusher serves it: the last one has died", target->log->path);
    return error < 0 ? error : PENDING;
}

/* ---- All of them ---- */

struct wait {
    shmwal_target *targets;
    size_t count;
    struct sys_futex_seen places[FUTEX_ANY_MAX];
    uint32_t placed;
    int settled; /* targets */
};

static void settle(struct wait *wait, shmwal_target *target, int result)
{
    target->result = result;
    wait->settled += result != PENDING;
}

/* The interrupting word comes first: it is waited for in any case. */
static void arm_all(struct wait *wait, const _Atomic uint32_t *word, uint32_t seen)
{
    wait->placed = 0;
    if (word != NULL)
        wait->places[wait->placed++] = (struct sys_futex_seen){word, seen};
    for (size_t i = 0; i < wait->count; i++) {
        struct sys_futex_seen place;
        settle(wait, &wait->targets[i], arm(&wait->targets[i], &place));
        if (wait->placed < FUTEX_ANY_MAX)
            wait->places[wait->placed++] = place;
    }
}

/* A target that is passed again and again, each time for less than FLUSHER_CHECK_MS, has its
 * flusher looked at too: it remembers when that is due. So it is when the time is over: who waits
 * often and briefly would never replace a dead one. Returns the time then: a look may take long. */
static int64_t check_flushers(struct wait *wait, int64_t now, bool over)
{
    bool looked = false;
    for (size_t i = 0; i < wait->count; i++) {
        shmwal_target *target = &wait->targets[i];
        if (!needs_flusher(target))
            continue;
        bool due = over || (target->private_check_ns != 0 && now >= target->private_check_ns);
        if (due)
            settle(wait, target, check_flusher(target));
        if (due || target->private_check_ns == 0)
            target->private_check_ns = now + FLUSHER_CHECK_MS * NS_PER_MS;
        looked = looked || due;
    }
    return looked ? clock_monotonic_ns() : now;
}

/* When to look again although nobody woke us. A flusher that is killed wakes nobody, so that holds
 * for targets that need none, too. */
static int64_t next_look(const struct wait *wait, int64_t now, int64_t deadline)
{
    bool soon = wait->count >= FUTEX_ANY_MAX; /* not all have a place, or just so */
    int64_t look = now + FLUSHER_CHECK_MS * NS_PER_MS;
    for (size_t i = 0; i < wait->count; i++) {
        const shmwal_target *target = &wait->targets[i];
        soon = soon || target->level == SHMWAL_COMMITTED;
        if (needs_flusher(target) && target->private_check_ns < look)
            look = target->private_check_ns;
    }
    if (soon)
        look = now + COMMITTED_LOOK_MS * NS_PER_MS;
    return look < deadline ? look : deadline;
}

/* How many are settled, 0 after an interruption, or -ETIMEDOUT without a sentence. */
static int wait_any(shmwal_target *targets, size_t count, int64_t timeout_ns,
                    const _Atomic uint32_t *word, uint32_t seen)
{
    struct wait wait; /* not initialized as a whole: it is large */
    wait.targets = targets;
    wait.count = count;
    wait.settled = 0;
    for (size_t i = 0; i < count; i++)
        settle(&wait, &targets[i], begin(&targets[i]));
    if (wait.settled > 0)
        return wait.settled;
    int64_t deadline = deadline_from_timeout(timeout_ns);
    for (bool slept = false;; slept = true) {
        arm_all(&wait, word, seen);
        if (wait.settled > 0)
            return wait.settled;
        if (word != NULL && atomic_load_explicit(word, memory_order_acquire) != seen) /* W3 */
            return 0;
        int64_t now = clock_monotonic_ns();
        now = check_flushers(&wait, now, slept && now >= deadline);
        if (wait.settled > 0)
            return wait.settled;
        if (now >= deadline)
            return -ETIMEDOUT;
        pthread_testcancel(); /* nothing is held here */
        sys_futex_wait_any(wait.places, wait.placed, next_look(&wait, now, deadline));
    }
}

SHMWAL_API int shmwal_wait(shmwal *log, uint64_t lsn, shmwal_level level, int64_t timeout_ns)
{
    shmwal_target target = {.log = log, .lsn = lsn, .level = level};
    int got = wait_any(&target, 1, timeout_ns, NULL, 0);
    return got < 0 ? fail_late(log, lsn, timeout_ns) : target.result;
}

SHMWAL_API int shmwal_wait_any(shmwal_target *targets, size_t count, int64_t timeout_ns,
                               const uint32_t *word, uint32_t seen)
{
    if (count == 0 ? word == NULL : targets == NULL)
        return fail(EINVAL, "shmwal_wait_any needs targets, or a word that ends the wait");
    int got = wait_any(targets, count, timeout_ns, (const _Atomic uint32_t *)word, seen);
    if (got < 0)
        return fail(ETIMEDOUT, "none of %zu targets was reached within %.3f s", count,
                    (double)timeout_ns / 1e9);
    return got;
}

SHMWAL_API void shmwal_wake(uint32_t *word)
{
    atomic_fetch_add_explicit((_Atomic uint32_t *)word, 1, memory_order_release); /* W3 */
    sys_futex_wake((_Atomic uint32_t *)word);
}
