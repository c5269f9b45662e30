/* SPDX-License-Identifier: MIT
 *
 * How a log is doing, seen from outside: nothing is attached, changed or started.
 *
 * Knows region, store, sys, base. */
#include "base/error.h"
#include "format/uuid.h"
#include "region/attachment.h"
#include "region/held.h"
#include "region/owner.h"
#include "region/region.h"
#include "shmwal.h"
#include "store/catalog.h"
#include "store/spare.h"
#include "store/store.h"
#include "sys/clock.h"
#include "sys/lock.h"
#include "sys/thread.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The oldest reservation that is open: by the flusher's account if it has one, for the age; else as
 * the ring shows it. */
static void fill_oldest(const struct region *region, int ring_fd, shmwal_status *status)
{
    const struct flusher_state *state = region->state;
    struct attachment_claim claim;
    struct ring_header open;
    uint64_t lsn = status->committed_lsn;
    if (lsn >= status->reserved_lsn || !ring_find_open(&region->ring, lsn, &open))
        return;
    uint64_t owner = ring_extent_owner(open.extent);
    struct held held;
    status->oldest_lsn = lsn;
    status->oldest_pid = owner_pid(region, ring_fd, owner);
    if (attachment_claims(region->control, owner, &claim)) {
        status->oldest_inner_pid = claim.pid;
        status->oldest_pid_namespace = claim.pid_namespace;
    }
    status->oldest_alive = attachment_alive(ring_fd, owner) != 0;
    if (held_read(state, &held) && held.lsn == lsn)
        status->oldest_age_ms = (uint64_t)((clock_monotonic_ns() - held.since_ns) / NS_PER_MS);
}

static void fill_from_ring(const struct region *region, int ring_fd, bool running,
                           shmwal_status *status)
{
    const struct flusher_state *state = region->state;
    uint32_t phase = atomic_load(&state->status);
    if (phase == FLUSHER_FROZEN)
        status->state = SHMWAL_STATE_FROZEN;
    status->device_errno = atomic_load(&state->device_errno);
    status->flusher_pid = running ? atomic_load(&state->pid) : 0;
    status->durable_lsn = atomic_load(&state->durable_lsn);
    status->committed_lsn = ring_finished_until(&region->ring, status->durable_lsn);
    status->reserved_lsn = ring_end(&region->ring);
    status->fillers_dead = atomic_load(&state->fillers_dead);
    status->fillers_invalid = atomic_load(&state->fillers_invalid);
    status->attached = attachment_count(region->control, ring_fd);
    fill_oldest(region, ring_fd, status);
}

static int fill_from_disk(const struct directory *directory, shmwal_status *status)
{
    struct catalog catalog;
    int error = catalog_open(directory, &catalog);
    if (error < 0)
        return error;
    status->first_lsn = catalog_first_lsn(&catalog);
    status->segments = catalog.count;
    status->spares = catalog.spares;
    error = catalog_disk_bytes(directory, &catalog, &status->bytes);
    catalog_close(&catalog);
    return error;
}

/* Without a ring, the log ends where recovery would find its end. */
static int fill_lsns(const struct directory *directory, bool running, shmwal_status *status)
{
    struct region region;
    int ring_fd;
    int error = region_look(directory, &region, &ring_fd);
    if (error == 0) {
        fill_from_ring(&region, ring_fd, running, status);
        error = region_is_lost(&region) ? region_fail_lost(directory->path) : 0;
        region_look_away(&region, ring_fd);
        return error;
    }
    if (error != -ENOENT)
        return error;
    error = store_find_end(directory, &status->durable_lsn);
    status->committed_lsn = status->durable_lsn;
    status->reserved_lsn = status->durable_lsn;
    return error;
}

/* Of a program that was compiled before the fields from there on came. */
#define STATUS_SIZE_1_0 offsetof(shmwal_status, oldest_inner_pid)

SHMWAL_API int shmwal_get_status(const char *path, shmwal_status *status)
{
    NOT_CANCELLED;
    struct directory directory;
    shmwal_status found = {.size = sizeof found};
    if (path == NULL || status == NULL ||
        (status->size != sizeof *status && status->size != STATUS_SIZE_1_0))
        return fail(EINVAL, "shmwal_get_status needs a path, and a status with its size set");
    int error = directory_open(path, false, &directory);
    if (error < 0)
        return error;
    bool running = directory.lock_fd >= 0 && sys_lock_held(directory.lock_fd, LOCK_FLUSHER, 1) == 1;
    found.state = running ? SHMWAL_STATE_OK : SHMWAL_STATE_STOPPED;
    found.ring_bytes = directory.meta.ring_bytes;
    found.segment_bytes = directory.meta.segment_bytes;
    found.spare_bytes = directory.meta.spare_bytes;
    found.spares_kept = spare_count(directory.meta.spare_bytes, directory.meta.segment_bytes);
    uuid_format(directory.meta.uuid, found.uuid);
    error = fill_from_disk(&directory, &found);
    if (error == 0)
        error = fill_lsns(&directory, running, &found);
    directory_close(&directory);
    if (error < 0)
        return error;
    found.size = status->size;
    memcpy(status, &found, found.size);
    return 0;
}
