/* SPDX-License-Identifier: MIT
 *
 * Seeing to it that a flusher serves the log: when it is opened, and when the one that served it
 * has died. See handle.h.
 *
 * Knows handle, launch, region, sys, base. */
#include "producer/handle.h"

#include "base/error.h"
#include "producer/launch.h"
#include "sys/lock.h"
#include "sys/thread.h"

#include <errno.h>
#include <poll.h>

/* How soon who waits for a lock, and may be interrupted, looks again. */
enum { LOCK_LOOK_MS = 5 };

/* Waits for the lock; with `signals`, as in launch.h, no longer than until a signal has come. */
static int lock_unless_signal(const struct directory *directory, uint64_t lock,
                              const sigset_t *signals)
{
    if (signals == NULL)
        return sys_lock_wait(directory->lock_fd, lock);
    for (;;) {
        int error = sys_lock_try(directory->lock_fd, lock);
        if (error != -EAGAIN)
            return error;
        if (poll(NULL, 0, LOCK_LOOK_MS) < 0 || thread_signal_waits(signals))
            return -EINTR;
    }
}

/* With LOCK_START, so that a crowd starts one. A flusher that is about to end is waited for. */
static int start_locked(shmwal *log, const struct directory *directory, bool after_stop,
                        const sigset_t *signals)
{
    for (;;) {
        int held = sys_lock_held(directory->lock_fd, LOCK_FLUSHER, 1);
        uint32_t status = atomic_load(&log->region.state->status);
        bool ending = status == FLUSHER_STOPPING || status == FLUSHER_STOPPED;
        if (held < 0)
            return fail_errno(-held, "%s/lock cannot be asked", log->path);
        int error = region_check_named(directory, &log->region);
        if (error < 0)
            return error;
        if (!held)
            return ending && !after_stop ? 0 : launch_flusher(log->path, signals);
        if (!ending || !after_stop)
            return region_check_served(directory);
        error = lock_unless_signal(directory, LOCK_FLUSHER, signals);
        if (error < 0)
            return error == -EINTR ? error
                                   : fail_errno(-error, "%s/lock cannot be locked", log->path);
        sys_unlock(directory->lock_fd, LOCK_FLUSHER);
    }
}

/* After LOCK_START was asked for, with what came of it. */
static int start_after_lock(shmwal *log, const struct directory *directory, int locked,
                            bool after_stop, const sigset_t *signals)
{
    int error = locked;
    if (locked == 0) {
        error = start_locked(log, directory, after_stop, signals);
        sys_unlock(directory->lock_fd, LOCK_START);
    }
    if (error == -EINTR)
        return fail(EINTR, "%s: a signal came before the flusher began to serve", log->path);
    return locked < 0 ? fail_errno(-locked, "%s/lock cannot be locked", log->path) : error;
}

int handle_start_flusher(shmwal *log, const sigset_t *signals)
{
    struct directory directory;
    if (log->flags & SHMWAL_NO_FLUSHER)
        return 0;
    int error = handle_reopen_directory(log, &directory);
    if (error < 0)
        return error;
    int locked = lock_unless_signal(&directory, LOCK_START, signals);
    error = start_after_lock(log, &directory, locked, true, signals);
    directory_close(&directory);
    return error;
}

/* Does not fail where the process cannot look now, and will again. */
static int revive_flusher(shmwal *log, const sigset_t *signals)
{
    struct directory directory;
    int error = handle_reopen_directory(log, &directory);
    if (error == -EMFILE || error == -ENFILE)
        return 0; /* most likely the flusher is only slow */
    if (error < 0)
        return error;
    int locked = sys_lock_try(directory.lock_fd, LOCK_START);
    if (locked != -EAGAIN) /* else somebody else is at it */
        error = start_after_lock(log, &directory, locked, false, signals);
    directory_close(&directory);
    return error == -EINTR || error == -EMFILE || error == -ENFILE ? 0 : error;
}

int handle_revive_flusher(shmwal *log)
{
    NOT_CANCELLED;
    if (log->flags & SHMWAL_NO_FLUSHER)
        return 0;
    sigset_t before = thread_signals_not();
    int error = region_is_served(&log->region) ? 0 /* no look at the directory: it may hang */
                                               : revive_flusher(log, &before);
    thread_signals_as_before(&before);
    return error;
}
