/* SPDX-License-Identifier: MIT
 * LINKED: src/producer/handle.c
 *
 * Two threads of a forked child use a handle for the first time at once: one of them attaches it,
 * and both see its region.
 *
 * Knows src/producer. Changes with the protocol. */
#include "producer/handle.h"
#include "weak.h"

#include <string.h>

enum { PARENT = 1, CHILD = 2, ATTACHMENT = 7 };

static struct shmwal handle;
static _Atomic uint32_t generation = CHILD;
_Atomic(_Atomic uint32_t *) process_generation_word = &generation;
static _Atomic int locked;

void process_lock(void)
{
    __VERIFIER_assume(atomic_exchange_explicit(&locked, 1, memory_order_acquire) == 0);
}

void process_unlock(void)
{
    atomic_store_explicit(&locked, 0, memory_order_release);
}

int region_attach(const struct directory *directory, uint64_t commit_interval_ns,
                  struct region *region)
{
    (void)directory;
    (void)commit_interval_ns;
    assert(region->attachment == 0); /* once */
    region->attachment = ATTACHMENT;
    return 0;
}

int directory_open(const char *path, bool writing, struct directory *directory)
{
    (void)path;
    (void)writing;
    (void)directory;
    return 0;
}

void directory_close(struct directory *directory)
{
    (void)directory;
}

int handle_revive_flusher(shmwal *log)
{
    (void)log;
    return 0;
}

/* Of the log's UUID. */
int memcmp(const void *one, const void *other, size_t size)
{
    (void)one;
    (void)other;
    (void)size;
    return 0;
}

static void *use(void *unused)
{
    int error = handle_ready(&handle);
    assert(error == 0 && handle.region.attachment == ATTACHMENT);
    return unused;
}

int main(void)
{
    handle.generation = PARENT;
    RUN(use, use);
    return 0;
}
