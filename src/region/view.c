/* SPDX-License-Identifier: MIT
 * See view.h. */
#include "region/view.h"

#include "region/layout.h"
#include "region/shm.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/futex.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

/* A viewer cannot tell the flusher that it waits (it writes nothing), so it may miss a wake-up that was
 * meant for waiters; it looks again this often. */
enum { LOOK_AGAIN_MS = 20 };

int region_view_open(const struct directory *directory, struct region_view *view)
{
    struct flusher_state *state;
    int fd = shm_object_open(directory, SHM_STATE, false);
    if (fd < 0)
        return fd;
    int error = shm_map_state(directory, fd, false, &state);
    sys_close(fd);
    if (error == 0)
        view->state = state;
    return error;
}

void region_view_close(struct region_view *view)
{
    if (view->state != NULL)
        munmap((void *)view->state, sizeof *view->state);
    view->state = NULL;
}

uint64_t region_view_durable(const struct region_view *view)
{
    return atomic_load(&view->state->durable_lsn);
}

bool region_view_gone(const struct region_view *view)
{
    return atomic_load(&view->state->gone) != 0;
}

int region_view_wait(const struct region_view *view, uint64_t lsn, int64_t deadline_ns)
{
    const _Atomic uint32_t *sequence = &view->state->shards[wait_shard_index(lsn)].sequence;
    for (;;) {
        uint32_t seen = atomic_load(sequence);
        if (region_view_durable(view) > lsn || region_view_gone(view))
            return 0;
        int64_t now = clock_monotonic_ns();
        if (now >= deadline_ns)
            return -ETIMEDOUT;
        int64_t slice = now + LOOK_AGAIN_MS * NS_PER_MS;
        sys_futex_wait(sequence, seen, slice < deadline_ns ? slice : deadline_ns);
    }
}
