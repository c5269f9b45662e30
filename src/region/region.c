/* SPDX-License-Identifier: MIT
 * See region.h. */
#include "region/region.h"

#include "base/error.h"
#include "region/attachment.h"
#include "region/server.h"
#include "region/shm.h"
#include "region/turn.h"
#include "store/store.h"
#include "sys/file.h"
#include "sys/fork.h"
#include "sys/futex.h"
#include "sys/lock.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

/* An error of shm or attachment, with its subject. -ENOENT is an answer: there is no ring. */
static int about_ring(int error)
{
    return error < 0 && error != -ENOENT ? fail_about(ABOUT_RING, error) : error;
}

/* A new ring begins where the log on disk ends. */
static int create_ring(const struct directory *directory)
{
    uint64_t id, end_lsn;
    int error = store_find_end(directory, &end_lsn);
    if (error < 0)
        return error;
    if (getrandom(&id, sizeof id, 0) != sizeof id)
        return fail_errno(errno, "cannot draw a random number");
    id |= 1; /* 0 names none */
    error = about_ring(shm_create(directory, id, end_lsn));
    if (error < 0)
        return error;
    error = directory_name_ring(directory, id);
    if (error < 0)
        shm_remove(directory);
    return error;
}

/* A ring's two objects, open. */
struct objects {
    int ring_fd, state_fd;
    bool made; /* just now */
};

static int open_existing(const struct directory *directory, bool writing, struct objects *objects)
{
    objects->ring_fd = about_ring(shm_object_open(directory, SHM_RING, true));
    if (objects->ring_fd < 0)
        return objects->ring_fd;
    objects->state_fd = about_ring(shm_object_open(directory, SHM_STATE, writing));
    if (objects->state_fd < 0)
        sys_fork_close(objects->ring_fd);
    return objects->state_fd < 0 ? objects->state_fd : 0;
}

static void close_objects(const struct objects *objects)
{
    sys_fork_close(objects->state_fd);
    sys_fork_close(objects->ring_fd);
}

/* What was made for an attachment that then failed is nobody's: it would lie there for ever. */
static void abandon_objects(const struct directory *directory, const struct objects *objects)
{
    close_objects(objects);
    if (objects->made)
        shm_remove(directory);
}

/* What a mapping may write: a producer the ring alone, who removes it and the flusher the state
 * too, a viewer nothing. The flusher alone is not guarded. */
enum access { ACCESS_VIEW, ACCESS_PRODUCER, ACCESS_REMOVER, ACCESS_FLUSHER };

static int unmap_unguarded(struct region *region, const char *log_path)
{
    munmap((void *)region->state, sizeof *region->state);
    munmap(region->control, region->mapped_bytes);
    return about_ring(fail(ENOMEM, "no memory to use the ring of %s", log_path));
}

static int map_region(const struct directory *directory, const struct objects *objects,
                      enum access access, struct region *region)
{
    struct flusher_state *state;
    char *headers;
    int error = shm_map_ring(directory, objects->ring_fd, access != ACCESS_VIEW, &region->control,
                             &headers, &region->ring.bytes, &region->mapped_bytes);
    if (error < 0)
        return about_ring(error);
    error = shm_map_state(directory, objects->state_fd, access >= ACCESS_REMOVER, &state);
    if (error < 0) {
        munmap(region->control, region->mapped_bytes);
        return about_ring(error);
    }
    region->state = state;
    region->guard = NULL;
    if (access != ACCESS_FLUSHER) {
        struct guarded guarded = {region->control, region->ring.bytes,
                                  (char *)region->control + region->mapped_bytes, state};
        region->guard = guard_take(&guarded, false);
        if (region->guard == NULL)
            return unmap_unguarded(region, directory->path);
    }
    region->attachment = 0;
    region->entry = 0;
    region->ring.tail = &region->control->tail;
    region->ring.headers = (AO_double_t *)headers;
    region->ring.size = directory->meta.ring_bytes;
    region->ring.head = &state->head_lsn;
    uint64_t head = atomic_load_explicit(&state->head_lsn, memory_order_acquire); /* R2 */
    /* Relaxed: it is this thread's alone until the region is given to others. */
    atomic_store_explicit(&region->ring.head_seen, head, memory_order_relaxed);
    return 0;
}

static void unmap_region(struct region *region)
{
    guard_release(region->guard);
    munmap((void *)region->state, sizeof *region->state);
    munmap(region->control, region->mapped_bytes);
    region->control = NULL;
}

static int lock_ring(const struct directory *directory)
{
    int error = sys_lock_wait(directory->lock_fd, LOCK_RING);
    if (error < 0)
        return fail_errno(-error, "%s/lock cannot be locked", directory->path);
    return 0;
}

/* A ring that no flusher serves. True if it was removed. */
static bool remove_idle_ring(const struct directory *directory)
{
    struct objects objects;
    struct region region;
    if (open_existing(directory, true, &objects) < 0)
        return false;
    bool removed = false;
    if (map_region(directory, &objects, ACCESS_REMOVER, &region) == 0) {
        removed = region_remove_if_idle(directory, (struct flusher_state *)region.state, &region,
                                        objects.ring_fd);
        unmap_region(&region);
    }
    close_objects(&objects);
    return removed;
}

static int refuse_stale(const struct directory *directory, const struct objects *objects)
{
    struct region region;
    char ring[SHM_NAME_BYTES], state[SHM_NAME_BYTES];
    int error = map_region(directory, objects, ACCESS_VIEW, &region);
    if (error < 0)
        return error;
    uint64_t durable_lsn = atomic_load(&region.state->durable_lsn);
    uint64_t lost = ring_end(&region.ring) - durable_lsn;
    unmap_region(&region);
    shm_object_name(directory, SHM_RING, ring);
    shm_object_name(directory, SHM_STATE, state);
    if (lost == 0)
        return fail(ESTALE,
                    "%s has gone on through another /dev/shm, of another container perhaps, since "
                    "it was last served here: close all handles here, and open it again",
                    directory->path);
    return fail(ESTALE,
                "%s has gone on through another /dev/shm, of another container perhaps, since it "
                "was last served here; the last %llu bytes that were appended here, behind LSN "
                "%llu, were not durable then and can be no more: close all handles here, and give "
                "those bytes up by: rm /dev/shm%s /dev/shm%s",
                directory->path, (unsigned long long)lost, (unsigned long long)durable_lsn, ring,
                state);
}

/* Opens the ring that is there, if it may be attached to. -ENOENT: there is none, or there was one
 * that the log has gone on without, and that nobody needs. */
static int open_current(const struct directory *directory, bool writing, struct objects *objects)
{
    int found = open_existing(directory, writing, objects);
    if (found < 0 && found != -ENOENT)
        return found;
    /* Where there is none: a flusher whose ring was removed may still write, and what it leaves
     * half done is no damage. */
    int error = about_ring(server_check(directory, found == 0 ? objects->ring_fd : -1));
    if (error < 0 || found < 0) {
        if (found == 0)
            close_objects(objects);
        return error < 0 ? error : found;
    }
    error = turn_take(directory, objects->state_fd);
    if (error == -ESTALE)
        error =
            remove_idle_ring(directory) ? -ENOENT : about_ring(refuse_stale(directory, objects));
    if (error < 0)
        close_objects(objects);
    return error;
}

/* Opens both objects, made if need be. Call with LOCK_RING. */
static int open_objects(const struct directory *directory, bool writing, struct objects *objects)
{
    int error = open_current(directory, writing, objects);
    objects->made = error == -ENOENT;
    if (!objects->made)
        return error;
    error = create_ring(directory);
    if (error < 0)
        return error;
    error = open_existing(directory, writing, objects);
    if (error == -ENOENT)
        error = fail(EIO, "the ring of %s was removed while it was made", directory->path);
    return about_ring(error);
}

/* The lock is taken before the mapping exists and kept by it: the descriptor's last reference. */
static int attach_locked(const struct directory *directory, uint64_t commit_interval_ns,
                         struct region *region)
{
    struct objects objects;
    int error = open_objects(directory, false, &objects);
    if (error < 0)
        return error;
    error = map_region(directory, &objects, ACCESS_PRODUCER, region);
    if (error == 0) {
        region->inode = shm_inode(objects.ring_fd);
        shm_object_name(directory, SHM_RING, region->name);
        error = about_ring(attachment_create(region->control, objects.ring_fd, commit_interval_ns,
                                             &region->attachment, &region->entry));
        if (error < 0 && region_is_lost(region))
            error = region_fail_lost(directory->path);
        if (error < 0)
            unmap_region(region);
    }
    if (error < 0)
        abandon_objects(directory, &objects);
    else
        close_objects(&objects);
    /* A flusher that gathers by the interval of others is told of ours. */
    if (error == 0 && atomic_load(&region->control->awaited) == AWAITED_ANYTHING) /* A3 */
        region_wake_flusher(region->control);
    return error;
}

int region_attach(const struct directory *directory, uint64_t commit_interval_ns,
                  struct region *region)
{
    int error = lock_ring(directory);
    if (error < 0)
        return error;
    error = attach_locked(directory, commit_interval_ns, region);
    sys_unlock(directory->lock_fd, LOCK_RING);
    return error;
}

void region_remove_unserved(const struct directory *directory)
{
    if (lock_ring(directory) < 0)
        return;
    if (sys_lock_held(directory->lock_fd, LOCK_FLUSHER, 1) == 0)
        remove_idle_ring(directory);
    sys_unlock(directory->lock_fd, LOCK_RING);
}

/* With the last mapping goes the lock. Only then is the flusher looked at: one that ends says so
 * before it looks who is attached, so that one of the two removes the ring. */
bool region_detach(struct region *region)
{
    const struct flusher_state *state = region->state;
    /* Relaxed: who takes the entry stores behind this, whether it asks for the lock or not. */
    atomic_store_explicit(&region->control->attachments[region->entry].id, 0, memory_order_relaxed);
    /* Release: an interval that is over need not wake the flusher. */
    atomic_fetch_add_explicit(&region->control->attachments_changed, 1,
                              memory_order_release); /* A3 */
    guard_release_ring(region->guard);
    munmap(region->control, region->mapped_bytes); /* A4 */
    region->control = NULL;
    bool ended = atomic_load(&state->status) != FLUSHER_RUNNING; /* A4 */
    guard_release(region->guard);
    munmap((void *)state, sizeof *state);
    return ended;
}

bool region_is_named(int ring_fd)
{
    struct stat status;
    return sys_fstat(ring_fd, &status) < 0 || status.st_nlink > 0;
}

int region_fail_lost(const char *log_path)
{
    return about_ring(fail(
        EIO,
        "the ring of %s was truncated in /dev/shm while it was in use; what is durable stands, "
        "and what was not is lost with it: close this handle and open the log again",
        log_path));
}

int region_check_named(const struct directory *directory, const struct region *region)
{
    int fd = shm_object_open(directory, SHM_RING, false);
    bool same = fd >= 0 && shm_inode(fd) == region->inode;
    if (fd >= 0)
        sys_fork_close(fd);
    if (same || (fd < 0 && fd != -ENOENT))
        return same ? 0 : about_ring(fd);
    return about_ring(fail(
        EIO,
        "the ring of %s was removed from /dev/shm while it was in use; what is durable stands, "
        "and what was not is lost with it: open the log again",
        directory->path));
}

int region_look(const struct directory *directory, struct region *region, int *ring_fd)
{
    struct objects objects;
    int error = open_existing(directory, false, &objects);
    if (error < 0)
        return error;
    error = turn_is_over(directory, objects.state_fd)
                ? -ENOENT
                : map_region(directory, &objects, ACCESS_VIEW, region);
    sys_fork_close(objects.state_fd);
    if (error < 0)
        sys_fork_close(objects.ring_fd);
    else
        *ring_fd = objects.ring_fd;
    return error;
}

void region_look_away(struct region *region, int ring_fd)
{
    unmap_region(region);
    sys_fork_close(ring_fd);
}

int region_attach_flusher(const struct directory *directory, struct region_flusher *flusher)
{
    struct objects objects;
    int error = lock_ring(directory);
    if (error < 0)
        return error;
    error = open_objects(directory, true, &objects);
    if (error == 0) {
        error = map_region(directory, &objects, ACCESS_FLUSHER, &flusher->region);
        if (error == 0) {
            error = about_ring(server_claim(directory, objects.ring_fd));
            if (error < 0)
                unmap_region(&flusher->region);
        }
        if (error < 0) {
            abandon_objects(directory, &objects);
        } else {
            sys_fork_close(objects.state_fd);
            flusher->ring_fd = objects.ring_fd;
            flusher->state = (struct flusher_state *)flusher->region.state;
        }
    }
    sys_unlock(directory->lock_fd, LOCK_RING);
    return error;
}

bool region_is_served(const struct region *region)
{
    int fd = shm_open_private(region->name, false);
    if (fd < 0)
        return false;
    bool served = shm_inode(fd) == region->inode && server_holds(fd);
    sys_fork_close(fd);
    return served;
}

int region_check_served(const struct directory *directory)
{
    int error = lock_ring(directory);
    if (error < 0)
        return error;
    int ring_fd = shm_object_open(directory, SHM_RING, true);
    if (ring_fd >= 0 || ring_fd == -ENOENT)
        error = about_ring(server_check(directory, ring_fd));
    if (ring_fd >= 0)
        sys_fork_close(ring_fd);
    sys_unlock(directory->lock_fd, LOCK_RING);
    return error;
}

void region_release_flusher(const struct directory *directory, struct region_flusher *flusher)
{
    if (lock_ring(directory) < 0)
        return;
    server_release(directory, flusher->ring_fd);
    sys_unlock(directory->lock_fd, LOCK_RING);
}

void region_detach_flusher(struct region_flusher *flusher)
{
    unmap_region(&flusher->region);
    sys_fork_close(flusher->ring_fd);
}

bool region_remove_if_idle(const struct directory *directory, struct flusher_state *state,
                           const struct region *region, int ring_fd)
{
    if (region_is_named(ring_fd)) { /* else another one may have its name now */
        /* Relaxed: nobody writes it. */
        uint64_t durable = atomic_load_explicit(&state->durable_lsn, memory_order_relaxed);
        if (attachment_any(ring_fd) != 0 || ring_end(&region->ring) != durable)
            return false;
        shm_remove(directory);
    }
    atomic_store_explicit(&state->gone, 1, memory_order_release); /* G1 */
    for (uint32_t i = 0; i < WAIT_SHARDS; i++) {
        atomic_fetch_add_explicit(&state->shards[i].sequence, 1, memory_order_release); /* G2 */
        sys_futex_wake(&state->shards[i].sequence);
    }
    return true;
}

static void ring_doorbell(struct ring_control *control)
{
    /* Relaxed: the flusher, once awake, sees what it rings for by D1, D2 and the like. */
    atomic_fetch_add_explicit(&control->doorbell, 1, memory_order_relaxed);
    sys_futex_wake(&control->doorbell);
}

void region_wake_flusher(struct ring_control *control)
{
    if (atomic_exchange(&control->awaited, 0) != 0)
        ring_doorbell(control);
}

void region_ask_flusher(const struct region *region)
{
    uint64_t awaited = atomic_load(&region->control->awaited); /* D1, D3 */
    bool owed = awaited == 0 &&
                atomic_load_explicit(&region->state->asleep, memory_order_relaxed) != 0; /* D3 */
    if (awaited == AWAITED_ANYTHING || awaited == AWAITED_NEXT || owed)
        ring_doorbell(region->control);
}
