/* SPDX-License-Identifier: MIT
 *
 * What the programs about attaching and ending share: threads that stand for processes, the shared
 * objects that they map, and the kernel's book of locks.
 *
 * The book has a word for each lock. To let go of one and to ask for another are two accesses in
 * the order of seq_cst operations, and no more: the kernel's own book, which lies behind a lock, is
 * a stricter one. Whose mapping goes loses its attachment's lock.
 *
 * Knows weak.h, src/region, src/sys. Changes when a program needs more of its surroundings. */
#ifndef WEAK_PROCESSES_H
#define WEAK_PROCESSES_H

#include "base/error.h"
#include "region/attachment.h"
#include "region/region.h"
#include "region/server.h"
#include "region/shm.h"
#include "region/turn.h"
#include "sys/file.h"
#include "sys/fork.h"
#include "sys/lock.h"
#include "sys/process.h"
#include "weak.h"

#include <sys/mman.h>

enum { NUMBERS = 4, RING_BYTES = RING_UNIT };

static const struct directory log_directory = {.meta.ring_bytes = RING_BYTES};
static struct ring_control control;
static struct flusher_state state;
static AO_double_t headers[1];
static uint64_t memory[RING_BYTES / 8];

static _Atomic int ring_lock, flusher_lock;
static _Atomic int flusher_asked_for; /* whether anybody has asked for the flusher's lock */
static _Atomic int attached[NUMBERS]; /* by attachment */
static _Atomic int removed;           /* how often the ring was */

static _Thread_local int process;     /* its pid, and the number of its PID namespace */
static _Thread_local uint64_t number; /* of its attachment */

/* As if it were killed, too. */
static inline void unmap(void)
{
    atomic_store(&attached[number], 0);
}

/* Nobody truncates anything here. */
struct guard *guard_take(const struct guarded *guarded, bool inherited)
{
    (void)guarded;
    (void)inherited;
    return (struct guard *)&state;
}

void guard_release_ring(struct guard *guard)
{
    (void)guard;
}

void guard_release(struct guard *guard)
{
    (void)guard;
}

int sys_lock_wait(int fd, uint64_t byte)
{
    (void)fd;
    assert(byte == LOCK_RING);
    __VERIFIER_assume(atomic_exchange_explicit(&ring_lock, 1, memory_order_acquire) == 0);
    return 0;
}

int sys_lock_try(int fd, uint64_t byte)
{
    (void)fd;
    number = byte - LOCK_ATTACHMENTS;
    assert(number > 0 && number < NUMBERS);
    atomic_store(&attached[number], 1);
    return 0;
}

int sys_unlock(int fd, uint64_t byte)
{
    (void)fd;
    if (byte == LOCK_FLUSHER)
        atomic_store(&flusher_lock, 0);
    else
        atomic_store_explicit(&ring_lock, 0, memory_order_release);
    return 0;
}

int sys_lock_held(int fd, uint64_t first, uint64_t count)
{
    (void)fd;
    if (first == LOCK_FLUSHER) {
        atomic_store_explicit(&flusher_asked_for, 1, memory_order_relaxed);
        return atomic_load(&flusher_lock);
    }
    if (count == 1)
        return atomic_load(&attached[first - LOCK_ATTACHMENTS]);
    for (int i = 1; i < NUMBERS; i++)
        if (atomic_load(&attached[i]) != 0)
            return 1;
    return 0;
}

pid_t getpid(void)
{
    return process;
}

uint32_t sys_pid_namespace(void)
{
    return (uint32_t)process;
}

int server_check(const struct directory *directory, int ring_fd)
{
    (void)directory;
    (void)ring_fd;
    return 0;
}

void server_release(const struct directory *directory, int ring_fd)
{
    (void)directory;
    (void)ring_fd;
}

int turn_take(const struct directory *directory, int state_fd)
{
    (void)directory;
    (void)state_fd;
    return 0;
}

int shm_object_open(const struct directory *directory, enum shm_object object, bool writing)
{
    (void)directory;
    (void)writing;
    return object == SHM_RING ? 3 : 4;
}

uint64_t shm_inode(int fd)
{
    (void)fd;
    return 1;
}

void shm_object_name(const struct directory *directory, enum shm_object object,
                     char name[SHM_NAME_BYTES])
{
    (void)directory;
    (void)object;
    (void)name;
}

int shm_map_ring(const struct directory *directory, int fd, bool writing,
                 struct ring_control **mapped, char **mapped_headers, char **bytes,
                 size_t *mapped_bytes)
{
    (void)directory;
    (void)fd;
    (void)writing;
    *mapped = &control;
    *mapped_headers = (char *)headers;
    *bytes = (char *)memory;
    *mapped_bytes = sizeof control;
    return 0;
}

int shm_map_state(const struct directory *directory, int fd, bool writing,
                  struct flusher_state **mapped)
{
    (void)directory;
    (void)fd;
    (void)writing;
    *mapped = &state;
    return 0;
}

int munmap(void *at, size_t size)
{
    (void)size;
    if (at == &control && number != 0)
        unmap();
    return 0;
}

void shm_remove(const struct directory *directory)
{
    (void)directory;
    atomic_fetch_add(&removed, 1);
}

int sys_fstat(int fd, struct stat *status)
{
    (void)fd;
    status->st_nlink = atomic_load(&removed) == 0;
    return 0;
}

void sys_fork_close(int fd)
{
    (void)fd;
}

int fail_about(enum fail_subject subject, int error)
{
    (void)subject;
    return error;
}

/* One of those who are attached before the threads begin. */
static inline void attach_first(struct region *region, uint64_t first, uint64_t commit_interval_ns)
{
    atomic_store(&control.next_attachment, first);
    process = (int)first;
    int error = region_attach(&log_directory, commit_interval_ns, region);
    assert(error == 0 && region->attachment == first);
    number = 0;
}

/* The flusher's mapping. */
static inline void serve(struct region_flusher *flusher)
{
    struct ring *ring = &flusher->region.ring;
    ring->tail = &control.tail;
    ring->headers = headers;
    ring->bytes = (char *)memory;
    ring->size = RING_BYTES;
    ring->head = &state.head_lsn;
    flusher->region.control = &control;
    flusher->region.state = flusher->state = &state;
}

#endif
