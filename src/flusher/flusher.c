/* SPDX-License-Identifier: MIT
 *
 * The life of one flusher: take over, serve, end. See flusher.h. */
#include "flusher/flusher.h"

#include "base/error.h"
#include "base/shortage.h"
#include "region/attachment.h"
#include "region/held.h"
#include "region/server.h"
#include "sys/clock.h"
#include "sys/futex.h"
#include "sys/lock.h"
#include "sys/process.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* See flies(). */
enum { LARGE_FRAME_BYTES = 256 * 1024 };

/* How long it lingers when nobody is attached, and how often it looks; when an idle log is sealed;
 * how long a stop waits for a reservation in flight; how often a write is tried again in a
 * shortage. */
#define LINGER_NS         (3 * NS_PER_S)
#define LOOK_NS           (1 * NS_PER_S)
#define SEAL_AFTER_NS     (2 * NS_PER_S)
#define STOP_GRACE_NS     (200 * NS_PER_MS)
#define SHORTAGE_RETRY_NS (100 * NS_PER_MS)

/* An open reservation is looked at again after 1 ms, then 2, up to 64: its commit rings the
 * doorbell, but a death makes no sound that a futex could hear. */
enum { OPEN_LOOK_DOUBLINGS_MAX = 6 };

/* ---- Taking over ---- */

/* What a predecessor left in the shared state, brought to what holds for a new flusher. Before the
 * store is opened, which may take long: from here on a stop is asked of this flusher. */
static void take_over(struct flusher *flusher)
{
    struct ring_control *control = flusher->region.region.control;
    struct flusher_state *state = flusher->region.state;
    atomic_store(&control->stop_requested, 0);
    atomic_store(&control->awaited, 0);
    atomic_store(&state->asleep, 0);
    atomic_store(&state->head_lsn, flusher->durable); /* it may have died just before */
    held_forget(state);
    atomic_fetch_add(&state->incarnation, 1);
    flusher->attachments_seen = atomic_load(&control->attachments_changed) - 1;
}

static int open_region_and_store(struct flusher *flusher)
{
    int error = region_attach_flusher(&flusher->directory, &flusher->region);
    if (error < 0)
        return error;
    flusher->span_max = record_span(record_length_max(flusher->directory.meta.ring_bytes,
                                                      flusher->directory.meta.segment_bytes));
    flusher->durable = atomic_load(&flusher->region.state->durable_lsn);
    flusher->gathered = flusher->issued = flusher->durable;
    take_over(flusher);
    error = frames_allocate(flusher);
    if (error == 0) {
        error = store_open(&flusher->directory, flusher->durable, &flusher->store);
        if (error < 0)
            frames_free(flusher);
    }
    if (error < 0) {
        region_release_flusher(&flusher->directory, &flusher->region);
        region_detach_flusher(&flusher->region);
    }
    return error;
}

int flusher_open(struct flusher *flusher, const char *path, bool embedded)
{
    memset(flusher, 0, sizeof *flusher);
    flusher->embedded = embedded;
    int error = directory_open(path, true, &flusher->directory);
    if (error < 0)
        return error;
    error = sys_lock_try(flusher->directory.lock_fd, LOCK_FLUSHER);
    if (error == -EAGAIN)
        error = fail(EBUSY, "another flusher serves %s", flusher->directory.path);
    else if (error < 0)
        error = fail_errno(-error, "%s/lock cannot be locked", flusher->directory.path);
    else
        error = open_region_and_store(flusher);
    if (error < 0) {
        directory_close(&flusher->directory);
        return error;
    }
    atomic_store(&flusher->region.state->pid, (int32_t)getpid());
    atomic_store(&flusher->region.state->pid_namespace, sys_pid_namespace());
    flusher->last_commit_ns = clock_monotonic_ns();
    publish_status(flusher, FLUSHER_RUNNING, 0);
    return 0;
}

/* ---- Sleeping ---- */

static bool stop_requested(const struct flusher *flusher)
{
    return atomic_load(&flusher->region.region.control->stop_requested) == STOP_REQUESTED; /* S1 */
}

static bool waiter_wants_more(const struct flusher *flusher)
{
    return atomic_load(&flusher->region.region.control->wanted_lsn) > flusher->durable;
}

/* More than half of the ring is in use: whoever asked for an interval did not ask for
 * back-pressure. */
static bool ring_filling(const struct flusher *flusher)
{
    const struct ring *ring = &flusher->region.region.ring;
    return ring_end(ring) - flusher->durable > ring->size / 2;
}

/* Somebody has come or gone since it asked for their commit intervals. */
static bool attachments_changed(const struct flusher *flusher)
{
    const struct ring_control *control = flusher->region.region.control;
    return atomic_load(&control->attachments_changed) != flusher->attachments_seen; /* A3 */
}

/* Whether there is no reason to sleep for what `awaited` says: the look behind D1. */
static bool reason_to_stay_up(const struct flusher *flusher, uint64_t awaited)
{
    const struct ring *ring = &flusher->region.region.ring;
    switch (awaited) {
    case AWAITED_STOP:
        return stop_requested(flusher);
    case AWAITED_ANYTHING:
        return attachments_changed(flusher) || stop_requested(flusher) ||
               waiter_wants_more(flusher) || ring_filling(flusher);
    case AWAITED_NEXT:
        return ring_end(ring) != flusher->gathered; /* D1 */
    default:
        return ring_finished_at(ring, flusher->gathered); /* D1 */
    }
}

/* Sleeps until somebody rings for what `awaited` says, or the time is over. */
static void doze(struct flusher *flusher, uint64_t awaited, int64_t timeout_ns)
{
    struct ring_control *control = flusher->region.region.control;
    /* Relaxed: whoever rings has seen what is stored in `awaited` behind it. */
    uint32_t bell = atomic_load_explicit(&control->doorbell, memory_order_relaxed);
    atomic_store_explicit(&flusher->region.state->asleep, 1, memory_order_relaxed); /* D3 */
    atomic_store(&control->awaited, awaited); /* D1, D3, see producer/room.c; A3; S1 */
    bool told = stop_requested(flusher) && flusher->stopping_since_ns == 0;
    if (!told && !reason_to_stay_up(flusher, awaited))
        sys_futex_wait(&control->doorbell, bell, deadline_from_timeout(timeout_ns));
    /* Relaxed: a ring too many harms nobody. */
    atomic_store_explicit(&control->awaited, 0, memory_order_relaxed);
    atomic_store_explicit(&flusher->region.state->asleep, 0, memory_order_relaxed);
}

/* ---- Committing ---- */

static int64_t commit_interval_ns(struct flusher *flusher)
{
    struct ring_control *control = flusher->region.region.control;
    /* Acquire: the entry that has changed (A3). */
    uint32_t changed = atomic_load_explicit(&control->attachments_changed, memory_order_acquire);
    if (changed != flusher->attachments_seen) {
        flusher->attachments_seen = changed;
        flusher->commit_interval_ns =
            attachment_commit_interval_ns(control, flusher->region.ring_fd);
    }
    return (int64_t)flusher->commit_interval_ns;
}

/* Whether the handles' commit interval lets it gather longer; if so, it has slept for a while. */
static bool gathered_longer(struct flusher *flusher)
{
    int64_t interval = commit_interval_ns(flusher);
    if (interval == 0 || stop_requested(flusher) || waiter_wants_more(flusher) ||
        ring_filling(flusher))
        return false;
    int64_t left = flusher->last_commit_ns + interval - clock_monotonic_ns();
    if (left <= 0)
        return false;
    doze(flusher, AWAITED_ANYTHING, left);
    return true;
}

/* What it waits for is known to all meanwhile. */
static int note_shortage(struct flusher *flusher, int error)
{
    struct flusher_state *state = flusher->region.state;
    if (atomic_exchange(&state->device_errno, -error) != -error)
        journal("%s: %s. Appends wait when the ring is full; writing goes on by itself",
                fail_sentence(), shortage_advice(-error));
    if (stop_requested(flusher))
        return error;
    doze(flusher, AWAITED_STOP, SHORTAGE_RETRY_NS);
    return 0;
}

/* Publishes what the store has brought to the disk. True if there was something. */
static bool publish(struct flusher *flusher)
{
    uint64_t durable = store_durable(flusher->store);
    if (durable == flusher->durable)
        return false;
    int shortage = atomic_exchange(&flusher->region.state->device_errno, 0);
    if (shortage != 0) /* which the limit on files may have kept from being told before */
        journal("writing goes on; it had waited: %s", strerror(shortage));
    frames_trim(flusher);
    publish_durable(flusher, durable);
    flusher->sealed = false;
    flusher->last_commit_ns = clock_monotonic_ns();
    return true;
}

/* Waits for the oldest frame in flight. */
static int settle(struct flusher *flusher)
{
    int error = store_settle(flusher->store);
    return is_shortage(error) ? note_shortage(flusher, error) : error;
}

/* A frame so large is written by another thread while this one gathers the next: many are then in
 * flight. A smaller one is written by this thread, when nothing is in flight: to hand it over takes
 * longer than it gains, and while it is written more gathers for the next. */
static bool flies(struct flusher *flusher)
{
    uint64_t gathered = flusher->gathered - flusher->issued;
    return gathered > 0 &&
           (flusher->full || (gathered >= LARGE_FRAME_BYTES && commit_interval_ns(flusher) == 0));
}

/* Gives the frame to the store. */
static int issue(struct flusher *flusher,
                 int (*write)(struct store *, struct frame_header *, uint64_t, uint64_t, uint32_t))
{
    int error = write(flusher->store, flusher->frames[flusher->turn], flusher->issued,
                      flusher->gathered - flusher->issued, flusher->records);
    if (error < 0 && store_in_flight(flusher->store) > 0)
        return settle(flusher); /* what is in flight comes first: this is tried again */
    if (error < 0)
        return is_shortage(error) ? note_shortage(flusher, error) : error;
    flusher->issued = flusher->gathered;
    if (store_in_flight(flusher->store) > 0)
        flusher->turn = (flusher->turn + 1) % STORE_FRAMES;
    flusher->records = 0;
    flusher->full = false;
    return 0;
}

/* ---- Idle ---- */

/* Writes the seal when it is due; the time until then, or -1 if it stands. */
static int64_t seal_when_due(struct flusher *flusher)
{
    if (flusher->sealed)
        return -1;
    int64_t left = flusher->last_commit_ns + SEAL_AFTER_NS - clock_monotonic_ns();
    if (left > 0)
        return left;
    int error = store_idle(flusher->store);
    if (is_shortage(error))
        return SHORTAGE_RETRY_NS;
    /* Nothing that was acknowledged hangs on it, and the next frame meets the same device. */
    if (error < 0)
        journal("the seal at LSN %llu could not be written: %s",
                (unsigned long long)flusher->durable, fail_sentence());
    flusher->sealed = true;
    return -1;
}

static int64_t idle_timeout_ns(struct flusher *flusher)
{
    if (stop_requested(flusher) && flusher->open_looks == 0)
        return 0; /* one more look at the ring, and it ends */
    int64_t timeout = seal_when_due(flusher);
    if (flusher->open_looks > 0) { /* the ring is not empty */
        uint32_t doublings = flusher->open_looks < OPEN_LOOK_DOUBLINGS_MAX
                                 ? flusher->open_looks - 1
                                 : OPEN_LOOK_DOUBLINGS_MAX;
        return NS_PER_MS << doublings;
    }
    /* Never for ever: whoever should have rung may have been killed just before. */
    if (timeout < 0 || timeout > LOOK_NS)
        timeout = LOOK_NS;
    return timeout;
}

/* Whether nobody has been attached for long enough. */
static bool lingered(struct flusher *flusher)
{
    int64_t now = clock_monotonic_ns();
    if (!flusher->embedded || now - flusher->last_commit_ns < LOOK_NS)
        return false;
    if (attachment_any(flusher->region.ring_fd) != 0) {
        flusher->idle_since_ns = 0;
        return false;
    }
    if (flusher->idle_since_ns == 0)
        flusher->idle_since_ns = now;
    return now - flusher->idle_since_ns >= LINGER_NS;
}

/* ---- Ending ---- */

/* Both locks are let go together, this one's first: who attaches next finds neither ring nor
 * flusher. */
static void release_locks(struct flusher *flusher)
{
    server_release(&flusher->directory, flusher->region.ring_fd);
    sys_unlock(flusher->directory.lock_fd, LOCK_FLUSHER);
    sys_unlock(flusher->directory.lock_fd, LOCK_RING);
}

static void close_store(struct flusher *flusher)
{
    store_close(flusher->store);
    flusher->store = NULL;
}

/* Ends because nobody needs it, unless somebody has just come. True if it did. */
static bool leave(struct flusher *flusher)
{
    sys_lock_wait(flusher->directory.lock_fd, LOCK_RING);
    bool idle = attachment_any(flusher->region.ring_fd) == 0;
    idle = idle && ring_end(&flusher->region.region.ring) == flusher->durable;
    if (!idle) {
        sys_unlock(flusher->directory.lock_fd, LOCK_RING);
        flusher->idle_since_ns = 0;
        return false;
    }
    close_store(flusher);
    publish_status(flusher, FLUSHER_STOPPED, 0);
    region_remove_if_idle(&flusher->directory, flusher->region.state, &flusher->region.region,
                          flusher->region.ring_fd);
    release_locks(flusher);
    journal("nobody is attached and all is durable: ending at LSN %llu",
            (unsigned long long)flusher->durable);
    return true;
}

/* Whether a stop is complete: nothing finished is left, nor an open reservation that may still be
 * committed in time. Nothing new is taken from the first call on. */
static bool stop_complete(struct flusher *flusher)
{
    if (!stop_requested(flusher))
        return false;
    if (flusher->stopping_since_ns == 0) {
        flusher->stopping_since_ns = clock_monotonic_ns();
        publish_status(flusher, FLUSHER_STOPPING, 0);
        return false;
    }
    return flusher->open_looks == 0 ||
           clock_monotonic_ns() - flusher->stopping_since_ns > STOP_GRACE_NS;
}

/* Whether nothing can come behind the last look at the ring and be lost: one that bears its name
 * waits for the next flusher with what it holds. Of one that does not, a reservation that stays
 * open for longer than a stop waits is given up. */
static bool nothing_follows(struct flusher *flusher)
{
    if (region_is_named(flusher->region.ring_fd) || flusher->open_looks > 0)
        return true;
    flusher->shut = shut_ring(flusher);
    return flusher->shut;
}

/* The store is closed before the ring is locked: its last write may wait for the device, and
 * whoever opens the log must not. */
static int stop(struct flusher *flusher, int error)
{
    uint64_t end = flusher->shut ? flusher->durable : ring_end(&flusher->region.region.ring);
    close_store(flusher);
    sys_lock_wait(flusher->directory.lock_fd, LOCK_RING);
    publish_status(flusher, FLUSHER_STOPPED, error < 0 ? -error : 0);
    region_remove_if_idle(&flusher->directory, flusher->region.state, &flusher->region.region,
                          flusher->region.ring_fd);
    release_locks(flusher);
    if (end == flusher->durable)
        journal("stopped: all is durable, up to LSN %llu", (unsigned long long)end);
    else
        journal(
            "stopped: durable up to LSN %llu; %llu bytes behind it stay in the ring for the next "
            "flusher",
            (unsigned long long)flusher->durable, (unsigned long long)(end - flusher->durable));
    return error;
}

/* The device has failed. What was acknowledged stands; nothing more is acknowledged. It stays, so
 * that everybody learns why, until it is told to stop or nobody is left. */
static int freeze(struct flusher *flusher, int error)
{
    journal("%s; the durable LSN is frozen at %llu", fail_sentence(),
            (unsigned long long)flusher->durable);
    publish_status(flusher, FLUSHER_FROZEN, -error);
    while (!stop_requested(flusher) && !lingered(flusher))
        doze(flusher, AWAITED_STOP, LOOK_NS);
    return error;
}

/* ---- Serving ---- */

static int give_up(struct flusher *flusher, int error)
{
    publish(flusher);
    return is_shortage(error) ? stop(flusher, error) : freeze(flusher, error);
}

/* Somebody has removed the ring by hand: nobody will find it any more. What is committed is still
 * here and is written; then it ends as if it had been told to. */
static void notice_removal(struct flusher *flusher)
{
    if (stop_requested(flusher) || region_is_named(flusher->region.ring_fd))
        return;
    journal("the ring was removed from /dev/shm while it was in use: ending once what is committed "
            "is durable");
    atomic_store(&flusher->region.region.control->stop_requested, STOP_REQUESTED);
}

/* Nothing is gathered or in flight. True if it has ended. */
static bool rest(struct flusher *flusher)
{
    if (orphan_resolve(flusher))
        return false;
    notice_removal(flusher);
    if (stop_complete(flusher) && nothing_follows(flusher)) {
        stop(flusher, 0);
        return true;
    }
    if (lingered(flusher) && leave(flusher))
        return true;
    /* By what the last look found: a second look at the tail might find what was reserved since,
     * and nobody would look whether its owner lives. */
    bool open = flusher->open_looks > 0;
    doze(flusher, open ? flusher->gathered | AWAITED_RECORD : AWAITED_NEXT,
         idle_timeout_ns(flusher));
    return false;
}

int flusher_run(struct flusher *flusher)
{
    for (;;) {
        int error = 0;
        gather(flusher);
        if (flies(flusher)) {
            error = issue(flusher, store_issue);
        } else if (publish(flusher)) {
            continue; /* behind the next write, so that the device has work meanwhile */
        } else if (store_in_flight(flusher->store) > 0) {
            error = settle(flusher);
        } else if (flusher->gathered == flusher->issued) {
            if (rest(flusher))
                return 0;
        } else if (!gathered_longer(flusher)) {
            error = issue(flusher, store_write);
        }
        if (error < 0)
            return give_up(flusher, error);
    }
}

void flusher_close(struct flusher *flusher)
{
    store_close(flusher->store);
    frames_free(flusher);
    region_detach_flusher(&flusher->region);
    directory_close(&flusher->directory);
}
