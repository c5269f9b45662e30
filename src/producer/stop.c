/* SPDX-License-Identifier: MIT
 *
 * Stopping a log's flusher from outside: through the ring, so that it works across PID namespaces.
 * Where it can be seen as a process, its end is awaited too: it lets go of the log some moments
 * before that, and whoever looks for it then would find it.
 *
 *   S1  stop_requested (seq_cst store), then awaited (exchange)
 *         ↔  awaited (seq_cst store), then stop_requested (load), in doze() of flusher/flusher.c
 *   W1, W2 of wait.c hold for who waits here, with `incarnation` in place of the durable LSN
 *
 * Knows region, store/directory.h, sys, base. */
#include "base/error.h"
#include "region/layout.h"
#include "region/region.h"
#include "region/view.h"
#include "shmwal.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/futex.h"
#include "sys/lock.h"
#include "sys/process.h"
#include "sys/thread.h"

#include <errno.h>

/* A flusher that dies while it drains wakes nobody: look again this often. */
enum { LOOK_AGAIN_MS = 50 };

/* Of the flusher, which holds its lock now, so that the pid is its own; -1 if it is not ours to
 * see. */
static int open_process(const struct region_view *view)
{
    uint32_t here = sys_pid_namespace();
    if (here == 0 || atomic_load(&view->state->pid_namespace) != here)
        return -1;
    return sys_process_open(atomic_load(&view->state->pid));
}

static int fail_late(const struct directory *directory, int64_t timeout_ns)
{
    return fail(ETIMEDOUT,
                "the flusher of %s has not ended within %.3f s; it is writing, or waits for its "
                "device",
                directory->path, (double)timeout_ns / 1e9);
}

/* Not where what tells of it is lost: then the lock alone does. */
static bool is_another(const struct region_view *view, uint32_t incarnation)
{
    return !region_view_gone(view) &&
           atomic_load(&view->state->incarnation) != incarnation; /* W1 */
}

/* The flusher wakes all shards when its status changes. */
static int wait_until_released(const struct directory *directory, const struct region_view *view,
                               int64_t timeout_ns, int64_t deadline)
{
    const _Atomic uint32_t *sequence = &view->state->shards[0].sequence;
    /* Relaxed: an older one is what it could have read a moment ago. */
    uint32_t incarnation = atomic_load_explicit(&view->state->incarnation, memory_order_relaxed);
    for (;;) {
        uint32_t seen = atomic_load_explicit(sequence, memory_order_acquire); /* W2 */
        atomic_store(&view->control->shard_wanted[0], 1);                     /* W1 */
        if (sys_lock_held(directory->lock_fd, LOCK_FLUSHER, 1) == 0 ||
            is_another(view, incarnation))
            return 0;
        int64_t now = clock_monotonic_ns();
        if (now >= deadline)
            return fail_late(directory, timeout_ns);
        int64_t look = now + LOOK_AGAIN_MS * NS_PER_MS;
        sys_futex_wait(sequence, seen, look < deadline ? look : deadline);
    }
}

static int wait_until_ended(const struct directory *directory, const struct region_view *view,
                            int process, int64_t timeout_ns)
{
    int64_t deadline = deadline_from_timeout(timeout_ns);
    int error = wait_until_released(directory, view, timeout_ns, deadline);
    if (error == 0 && process >= 0 && sys_process_await_end(process, deadline) < 0)
        error = fail_late(directory, timeout_ns);
    return error;
}

static int stop_flusher(const struct directory *directory, int64_t timeout_ns)
{
    struct region_view view;
    if (sys_lock_held(directory->lock_fd, LOCK_FLUSHER, 1) == 0)
        return 0;
    int error = region_view_open(directory, &view);
    if (error == -ENOENT) /* it is just ending, or has not begun to serve, or not here */
        return region_check_served(directory);
    if (error < 0)
        return error;
    if (view.control == NULL) {
        error = fail(EACCES, "the ring of %s cannot be written", directory->path);
    } else {
        int process = open_process(&view);
        atomic_store(&view.control->stop_requested, STOP_REQUESTED); /* S1 */
        region_wake_flusher(view.control);
        error = wait_until_ended(directory, &view, process, timeout_ns);
        if (process >= 0)
            sys_close(process);
    }
    region_view_close(&view);
    return error;
}

SHMWAL_API int shmwal_stop(const char *path, int64_t timeout_ns)
{
    NOT_CANCELLED;
    struct directory directory;
    if (path == NULL)
        return fail(EINVAL, "shmwal_stop needs a path");
    int error = directory_open(path, true, &directory);
    if (error < 0)
        return error;
    error = stop_flusher(&directory, timeout_ns);
    if (error == 0)
        region_remove_unserved(&directory); /* of a flusher that was killed, perhaps */
    directory_close(&directory);
    return error;
}
