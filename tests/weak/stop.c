/* SPDX-License-Identifier: MIT
 * LINKED: src/region/region.c src/ring/ring.c src/ring/mend.c src/flusher/publish.c
 * LINKED: src/flusher/orphan.c src/region/attachment.c src/region/held.c
 *
 * Somebody asks the flusher to stop while it rests, has failed, or waits for room on the device: it
 * does not sleep on (S1). With SUCCEEDS the flusher has been killed, and who waits for its end is
 * woken by the next one (W1, W2).
 *
 * Knows src/producer, src/region, src/flusher. Changes with the protocol. */
#include "producer/stop.c"   /* NOLINT: for its static functions */
#include "flusher/flusher.c" /* NOLINT: for its static functions */
#include "processes.h"

static struct flusher flusher;

int region_view_open(const struct directory *directory, struct region_view *view)
{
    (void)directory;
    view->state = &state;
    view->control = &control;
    return 0;
}

void region_view_close(struct region_view *view)
{
    (void)view;
}

bool region_view_gone(const struct region_view *view)
{
    (void)view;
    return false;
}

int store_close(struct store *store)
{
    (void)store;
    return 0;
}

unsigned store_in_flight(const struct store *store)
{
    (void)store;
    return 0;
}

const char *shortage_advice(int error)
{
    (void)error;
    return "";
}

const char *fail_sentence(void)
{
    return "";
}

int fail(int error, const char *format, ...)
{
    (void)format;
    return -error;
}

void journal(const char *format, ...)
{
    (void)format;
}

static void *ask(void *unused)
{
#ifdef SUCCEEDS
    struct region_view view = {.state = &state, .control = &control};
    int error = wait_until_released(&log_directory, &view, -1, DEADLINE_NEVER);
    assert(error == 0);
#else
    stop_flusher(&log_directory, 0);
#endif
    return unused;
}

static void *flush(void *unused)
{
#if defined(SUCCEEDS)
    publish_status(&flusher, FLUSHER_STOPPING, 0); /* by the one that is killed then */
    /* Who asks has seen who served before. */
    __VERIFIER_assume(atomic_load_explicit(&flusher_asked_for, memory_order_relaxed) == 1);
    take_over(&flusher);
    publish_status(&flusher, FLUSHER_RUNNING, 0);
#elif defined(FREEZES)
    freeze(&flusher, -EIO);
#elif defined(RUNS_SHORT)
    while (note_shortage(&flusher, -ENOSPC) == 0)
        continue;
#else
    while (!rest(&flusher))
        continue;
#endif
    return unused;
}

int main(void)
{
    serve(&flusher.region);
    flusher.sealed = true;
    flusher.span_max = RING_UNIT;
    atomic_store(&flusher_lock, 1);
    atomic_store(&control.shard_wanted[0], 1); /* by somebody who was killed */
    RUN(ask, flush);
    assert(!is_forgotten());
    return 0;
}
