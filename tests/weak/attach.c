/* SPDX-License-Identifier: MIT
 * LINKED: src/region/region.c src/region/attachment.c src/ring/ring.c src/flusher/publish.c
 *
 * Somebody attaches to a full ring while the flusher gives memory back, and stores a record there:
 * the flusher has copied what was there before (R2).
 *
 * Knows src/region, src/ring, src/flusher. Changes with the protocol. */
#include "flusher/flusher.h"
#include "processes.h"

static struct region before;
static struct flusher flusher;

unsigned store_in_flight(const struct store *store)
{
    (void)store;
    return 0;
}

static void *come(void *unused)
{
    struct region region = {.attachment = 0};
    uint64_t lsn;
    process = 2;
    int error = region_attach(&log_directory, 0, &region);
    assert(error == 0);
    if (ring_reserve(&region.ring, region.attachment, RING_UNIT, &lsn) == 0)
        memory[0] = 2;
    return unused;
}

static void *flush(void *unused)
{
    assert(memory[0] == 1);
    publish_durable(&flusher, RING_UNIT);
    return unused;
}

int main(void)
{
    uint64_t lsn;
    attach_first(&before, 1, 0);
    serve(&flusher.region);
    int error = ring_reserve(&before.ring, 1, RING_UNIT, &lsn);
    memory[0] = 1;
    assert(error == 0 && ring_finish(&before.ring, 1, lsn, RING_UNIT, RING_COMMITTED));
    RUN(come, flush);
    return 0;
}
