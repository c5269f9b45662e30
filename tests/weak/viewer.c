/* SPDX-License-Identifier: MIT
 * LINKED: src/region/region.c src/region/view.c src/flusher/publish.c
 *
 * Somebody who only looks waits for the next record while one becomes durable (W1, W2), and then
 * for another when the ring is removed: it is told, and sees all that is durable (G1, G2).
 *
 * Knows src/region, src/flusher. Changes with the protocol. */
#include "flusher/flusher.h"
#include "region/region.h"
#include "region/view.h"
#include "ring/ring.h"
#include "sys/clock.h"
#include "weak.h"

#include <sys/stat.h>

static struct ring_control control;
static struct flusher_state state;
static struct flusher flusher;

int attachment_any(int ring_fd)
{
    (void)ring_fd;
    return 0;
}

uint64_t ring_end(const struct ring *ring)
{
    (void)ring;
    return RING_UNIT;
}

unsigned store_in_flight(const struct store *store)
{
    (void)store;
    return 0;
}

int sys_fstat(int fd, struct stat *status)
{
    (void)fd;
    status->st_nlink = 0;
    return 0;
}

static void *wait(void *unused)
{
    struct region_view view = {.state = &state, .control = &control};
    int result = region_view_wait(&view, 0, DEADLINE_NEVER);
    assert(result == 0 && region_view_durable(&view) == RING_UNIT);
#ifdef GOES
    result = region_view_wait(&view, RING_UNIT, DEADLINE_NEVER);
    assert(result == 0 && region_view_gone(&view));
#endif
    return unused;
}

static void *serve(void *unused)
{
    publish_durable(&flusher, RING_UNIT);
#ifdef GOES
    bool gone = region_remove_if_idle(&flusher.directory, &state, &flusher.region.region, 0);
    assert(gone);
#endif
    return unused;
}

int main(void)
{
    flusher.region.region.control = &control;
    flusher.region.region.state = flusher.region.state = &state;
    RUN(wait, serve);
    assert(!is_forgotten());
    return 0;
}
