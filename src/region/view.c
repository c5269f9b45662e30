/* SPDX-License-Identifier: MIT
 * See view.h. A viewer waits as the waiters of producer/wait.c do (W1, W2), and hears of the end:
 *
 *   G1  gone (release)  →  gone (acquire)      what was durable last is seen with it
 *   G2  gone, then sequence one more (release) →  sequence (acquire), then gone: who has read it
 *       before that does not sleep */
#include "region/view.h"

#include "base/error.h"
#include "region/layout.h"
#include "region/shm.h"
#include "region/turn.h"
#include "sys/clock.h"
#include "sys/fork.h"
#include "sys/futex.h"
#include "sys/lock.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

/* How often a waiter looks again although nobody woke it: the ring may have been removed by hand,
 * and a viewer without permission to write cannot tell the flusher that it waits. */
enum { LOOK_AGAIN_MS = 1000, LOOK_AGAIN_UNSEEN_MS = 20 };

int region_view_open(const struct directory *directory, struct region_view *view)
{
    struct flusher_state *state;
    int fd = shm_object_open(directory, SHM_STATE, false);
    if (fd < 0)
        return fd;
    int error = turn_is_over(directory, fd) ? -ENOENT : shm_map_state(directory, fd, false, &state);
    view->directory = directory;
    view->inode = shm_inode(fd);
    sys_fork_close(fd);
    if (error < 0)
        return error;
    view->state = state;
    view->lost = false;
    view->control = NULL;
    view->guard = NULL;
    fd = shm_object_open(directory, SHM_RING, true);
    if (fd == -ENOENT) { /* removed or truncated: the next one comes with a state of its own */
        region_view_close(view);
        return -ENOENT;
    }
    if (fd >= 0) {
        void *control =
            mmap(NULL, sizeof *view->control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        view->control = control == MAP_FAILED ? NULL : control;
        sys_fork_close(fd);
    }
    const void *end = view->control == NULL ? NULL : view->control + 1;
    view->guard = guard_take(&(struct guarded){view->control, end, end, view->state}, true);
    if (view->guard != NULL)
        return 0;
    region_view_close(view);
    return fail_about(ABOUT_RING,
                      fail(ENOMEM, "no memory to view the ring of %s", directory->path));
}

void region_view_close(struct region_view *view)
{
    guard_release(view->guard);
    if (view->state != NULL)
        munmap((void *)view->state, sizeof *view->state);
    if (view->control != NULL)
        munmap(view->control, sizeof *view->control);
    view->state = NULL;
    view->control = NULL;
}

uint64_t region_view_durable(const struct region_view *view)
{
    return atomic_load(&view->state->durable_lsn);
}

bool region_view_gone(const struct region_view *view)
{
    return view->lost ||
           atomic_load_explicit(&view->state->gone, memory_order_acquire) != 0; /* G1 */
}

/* Another ring bears the name now, or none does and nobody is left who would write what was in this
 * one. The flusher first: what it makes durable before it ends is seen. */
static bool is_lost(const struct region_view *view)
{
    bool served = sys_lock_held(view->directory->lock_fd, LOCK_FLUSHER, 1) != 0;
    int fd = shm_object_open(view->directory, SHM_STATE, false);
    bool other = fd >= 0 && shm_inode(fd) != view->inode;
    if (fd >= 0)
        sys_fork_close(fd);
    return other || (fd == -ENOENT && !served);
}

int region_view_wait(struct region_view *view, uint64_t lsn, int64_t deadline_ns)
{
    uint32_t shard = wait_shard_index(lsn + FORMAT_UNIT);
    const _Atomic uint32_t *sequence = &view->state->shards[shard].sequence;
    int64_t look_again = (view->control != NULL ? LOOK_AGAIN_MS : LOOK_AGAIN_UNSEEN_MS) * NS_PER_MS;
    for (;;) {
        uint32_t seen = atomic_load_explicit(sequence, memory_order_acquire); /* W2, G2 */
        if (view->control != NULL)
            atomic_store(&view->control->shard_wanted[shard], 1); /* W1, see producer/wait.c */
        if (region_view_durable(view) > lsn || region_view_gone(view))
            return 0;
        int64_t now = clock_monotonic_ns();
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        int64_t slice = now + look_again;
        int woken = sys_futex_wait(sequence, seen, slice < deadline_ns ? slice : deadline_ns);
        if (woken == -ETIMEDOUT)
            view->lost = is_lost(view);
    }
}
