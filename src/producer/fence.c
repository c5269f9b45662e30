/* SPDX-License-Identifier: MIT
 *
 * Ending a process that holds the log up: who has the oldest reservation open, for too long, and is
 * alive, so that the flusher may not fill it.
 *
 * The reservation is filled by the flusher as any dead process's is; here the process is found and
 * killed, and nothing is written to the ring. The proof that it is the right one is
 * region/owner.h's.
 *
 * Knows region, store/directory.h, sys, base. */
#include "base/error.h"
#include "region/attachment.h"
#include "region/held.h"
#include "region/owner.h"
#include "region/region.h"
#include "region/server.h"
#include "shmwal.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/process.h"
#include "sys/thread.h"

#include <errno.h>

/* How often it is looked whether the reservation is finished. */
enum { LOOK_AGAIN_MS = 10 };

struct fence {
    struct directory directory;
    struct region region;
    int ring_fd;
};

/* One reservation, which never comes again: neither its LSN nor its owner's number does. */
struct reservation {
    uint64_t lsn, owner;
    int64_t since_ns; /* seen open from then on */
};

/* The oldest that is open; false if there is none. */
static bool find_oldest(const struct fence *fence, struct reservation *oldest)
{
    const struct flusher_state *state = fence->region.state;
    const struct ring *ring = &fence->region.ring;
    struct ring_header open;
    struct held held;
    uint64_t lsn = ring_finished_until(ring, atomic_load(&state->durable_lsn));
    if (!ring_find_open(ring, lsn, &open))
        return false;
    oldest->lsn = lsn;
    oldest->owner = ring_extent_owner(open.extent);
    oldest->since_ns = clock_monotonic_ns();
    if (held_read(state, &held) && held.lsn == lsn && held.owner == oldest->owner &&
        held.since_ns < oldest->since_ns)
        oldest->since_ns = held.since_ns; /* the flusher saw it before us */
    return true;
}

static bool is_open(const struct fence *fence, const struct reservation *reservation)
{
    struct reservation now;
    return find_oldest(fence, &now) && now.lsn == reservation->lsn &&
           now.owner == reservation->owner;
}

static uint64_t age_ms(const struct reservation *reservation)
{
    return (uint64_t)((clock_monotonic_ns() - reservation->since_ns) / NS_PER_MS);
}

/* False if it is finished before it has been open for so long. */
static bool outlasts(const struct fence *fence, const struct reservation *reservation,
                     int64_t open_for_ns)
{
    while (is_open(fence, reservation)) {
        int64_t left = open_for_ns - (clock_monotonic_ns() - reservation->since_ns);
        if (left <= 0)
            return true;
        clock_sleep_ns(left < LOOK_AGAIN_MS * NS_PER_MS ? left : LOOK_AGAIN_MS * NS_PER_MS);
    }
    return false;
}

/* Whether somebody is there who will fill it. */
static bool is_flushed(const struct fence *fence)
{
    return atomic_load(&fence->region.state->status) != FLUSHER_FROZEN &&
           fence->directory.lock_fd >= 0 &&
           sys_lock_held(fence->directory.lock_fd, LOCK_FLUSHER, 1) == 1;
}

/* The flusher looks for itself, several times a second, while it waits for a reservation's end. */
static int await_filler(const struct fence *fence, const struct reservation *reservation,
                        int64_t deadline_ns, int *filled)
{
    while (is_open(fence, reservation)) {
        if (!is_flushed(fence))
            return 0;
        if (clock_monotonic_ns() >= deadline_ns)
            return fail(ETIMEDOUT,
                        "LSN %llu of %s, whose process is dead, is not filled yet: its memory is "
                        "held by another process that shares it (vfork), or the flusher is stopped",
                        (unsigned long long)reservation->lsn, fence->directory.path);
        clock_sleep_ns(LOOK_AGAIN_MS * NS_PER_MS);
    }
    *filled = 1;
    return 0;
}

static int kill_owner(const struct fence *fence, const struct reservation *reservation,
                      int64_t deadline_ns, pid_t pid, int process)
{
    int error = sys_process_kill(process);
    if (error < 0 && error != -ESRCH)
        return fail_errno(-error, "process %d, which has LSN %llu of %s open, cannot be killed",
                          (int)pid, (unsigned long long)reservation->lsn, fence->directory.path);
    if (sys_process_await_end(process, deadline_ns) < 0)
        return fail(ETIMEDOUT,
                    "process %d, which has LSN %llu of %s open, was killed and has not ended yet: "
                    "it is frozen, or waits for a device; the flusher goes on once it has ended",
                    (int)pid, (unsigned long long)reservation->lsn, fence->directory.path);
    return 0;
}

/* The look at the reservation comes last, so that a process is left alone that has gone on. */
static int fence_owner(const struct fence *fence, const struct reservation *reservation,
                       uint32_t flags, int64_t deadline_ns, shmwal_fencing *found)
{
    pid_t pid;
    int process;
    int error = owner_find(&fence->region, fence->ring_fd, reservation->owner, &pid, &process);
    bool alive = attachment_alive(fence->ring_fd, reservation->owner) != 0;
    bool open = is_open(fence, reservation);
    if (error < 0 && alive && open)
        return fail_context(error, "nobody was killed; LSN %llu of %s is held open",
                            (unsigned long long)reservation->lsn, fence->directory.path);
    if (!open)
        found->done = SHMWAL_FENCED_NOTHING;
    else if (!alive)
        found->done = SHMWAL_FENCED_DEAD;
    else
        found->done = (flags & SHMWAL_FENCE_LOOK) != 0 ? SHMWAL_FENCED_ALIVE : SHMWAL_FENCED_KILLED;
    if (open && alive)
        found->pid = pid;
    int killed = 0;
    if (found->done == SHMWAL_FENCED_KILLED)
        killed = kill_owner(fence, reservation, deadline_ns, pid, process);
    if (error == 0)
        sys_close(process);
    return killed;
}

static int fence_oldest(const struct fence *fence, uint32_t flags, int64_t open_for_ns,
                        int64_t timeout_ns, shmwal_fencing *found)
{
    struct reservation oldest;
    if (!find_oldest(fence, &oldest) || !outlasts(fence, &oldest, open_for_ns))
        return 0;
    int64_t deadline_ns = deadline_from_timeout(timeout_ns);
    uint64_t age = age_ms(&oldest);
    int error = fence_owner(fence, &oldest, flags, deadline_ns, found);
    if (error < 0 || found->done == SHMWAL_FENCED_NOTHING)
        return error;
    found->lsn = oldest.lsn;
    found->age_ms = age;
    if (found->done == SHMWAL_FENCED_ALIVE)
        return 0;
    return await_filler(fence, &oldest, deadline_ns, &found->filled);
}

/* A log without a ring has no reservation, unless its flusher serves one in another /dev/shm. That
 * is asked without LOCK_RING, which only the log's owner can take: a flusher that is just removing
 * its ring may be taken for one elsewhere. */
static int fence_log(struct fence *fence, uint32_t flags, int64_t open_for_ns, int64_t timeout_ns,
                     shmwal_fencing *found)
{
    int error = region_look(&fence->directory, &fence->region, &fence->ring_fd);
    if (error == -ENOENT)
        return fence->directory.lock_fd < 0 ? 0 : server_check(&fence->directory, -1);
    if (error < 0)
        return error;
    error = fence_oldest(fence, flags, open_for_ns, timeout_ns, found);
    if (error == 0 && region_is_lost(&fence->region)) /* no reservation was found in it */
        error = region_fail_lost(fence->directory.path);
    region_look_away(&fence->region, fence->ring_fd);
    return error;
}

SHMWAL_API int shmwal_fence(const char *path, uint32_t flags, int64_t open_for_ns,
                            int64_t timeout_ns, shmwal_fencing *fencing)
{
    NOT_CANCELLED;
    struct fence fence;
    shmwal_fencing found = {.size = sizeof found};
    if (path == NULL || fencing == NULL || fencing->size != sizeof *fencing || open_for_ns < 0 ||
        (flags & ~SHMWAL_FENCE_LOOK) != 0)
        return fail(EINVAL, "shmwal_fence needs a path, known flags, a time that is not negative, "
                            "and a result with its size set");
    int error = directory_open(path, false, &fence.directory);
    if (error < 0)
        return error;
    error = fence_log(&fence, flags, open_for_ns, timeout_ns, &found);
    directory_close(&fence.directory);
    if (error == 0)
        *fencing = found;
    return error;
}
