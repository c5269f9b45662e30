/* SPDX-License-Identifier: MIT
 * LINKED: src/region/region.c src/region/attachment.c src/ring/ring.c src/flusher/publish.c
 *
 * The last handles are closed while the flusher ends, because it was told to stop or because nobody
 * needs it: one of them removes the ring, and one alone (A4).
 *
 * Knows src/region, src/flusher. Changes with the protocol. */
#include "flusher/flusher.c" /* NOLINT: for its static functions */
#include "processes.h"

static struct region region[2];
static struct flusher flusher;

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

void journal(const char *format, ...)
{
    (void)format;
}

/* As shmwal_close() does. */
static void close_handle(int which)
{
    number = region[which].attachment;
    if (region_detach(&region[which]))
        region_remove_unserved(&log_directory);
}

static void *first(void *unused)
{
    close_handle(0);
    return unused;
}

#ifdef BOTH
static void *second(void *unused)
{
    close_handle(1);
    return unused;
}
#endif

static void *flush(void *unused)
{
#ifdef LEAVES
    if (!leave(&flusher))
        stop(&flusher, 0);
#else
    stop(&flusher, 0);
#endif
    return unused;
}

int main(void)
{
    attach_first(&region[0], 1, 0);
#ifdef BOTH
    attach_first(&region[1], 2, 0);
#endif
    serve(&flusher.region);
    atomic_store(&state.status, FLUSHER_RUNNING);
    atomic_store(&flusher_lock, 1);
#ifdef BOTH
    RUN(first, second, flush);
#else
    RUN(first, flush);
#endif
    assert(atomic_load(&removed) == 1);
    return 0;
}
