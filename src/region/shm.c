/* SPDX-License-Identifier: MIT
 * See shm.h.
 *
 *      control │ headers │ bytes           the object NAME.ring
 *      control │ headers │ bytes │ bytes   as mapped: the second view makes an extent that passes
 *                                          the end contiguous */
#include "region/shm.h"

#include "base/error.h"
#include "sys/file.h"
#include "sys/fork.h"
#include "sys/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

void shm_object_name(const struct directory *directory, enum shm_object object,
                     char name[SHM_NAME_BYTES])
{
    const uint8_t *uuid = directory->meta.uuid;
    int used = snprintf(name, SHM_NAME_BYTES, "/duralog-");
    for (int i = 0; i < FORMAT_UUID_BYTES; i++)
        used += snprintf(name + used, SHM_NAME_BYTES - (size_t)used, "%02x", uuid[i]);
    snprintf(name + used, SHM_NAME_BYTES - (size_t)used, "-%llx-%llx.%s",
             (unsigned long long)directory->device, (unsigned long long)directory->inode,
             object == SHM_RING ? "ring" : "state");
}

static uint64_t headers_offset(void)
{
    return round_up(sizeof(struct ring_control), PAGE);
}

static uint64_t bytes_offset(uint64_t ring_bytes)
{
    return round_up(headers_offset() + ring_bytes / RING_UNIT * sizeof(AO_double_t), PAGE);
}

static uint64_t object_bytes(const struct directory *directory, enum shm_object object)
{
    if (object == SHM_STATE)
        return round_up(sizeof(struct flusher_state), PAGE);
    return bytes_offset(directory->meta.ring_bytes) + directory->meta.ring_bytes;
}

/* An object of another user's under our name is not our ring, whoever put it there. */
static int check_object(const struct directory *directory, enum shm_object object, int fd,
                        const char *name)
{
    struct stat status, owner;
    int error = sys_fstat(fd, &status);
    if (error == 0)
        error = sys_fstat(directory->fd, &owner);
    if (error < 0)
        return fail_errno(-error, "/dev/shm%s: cannot be looked at", name);
    if (status.st_uid != owner.st_uid)
        return fail(EACCES,
                    "/dev/shm%s belongs to user %u, the log %s to user %u; remove that file if it "
                    "should not be there",
                    name, status.st_uid, directory->path, owner.st_uid);
    if (!S_ISREG(status.st_mode))
        return fail(EACCES, "/dev/shm%s is no shared memory; remove it", name);
    if (status.st_size == 0) /* its creator was interrupted */
        return -ENOENT;
    if ((uint64_t)status.st_size < object_bytes(directory, object))
        return fail(EIO,
                    "/dev/shm%s was truncated to %lld bytes; stop the log's processes and "
                    "remove it",
                    name, (long long)status.st_size);
    return 0;
}

/* Not to wait for a writer of a FIFO that somebody has put there. */
int shm_open_private(const char *name, bool writing)
{
    sys_fork_hold();
    int fd = shm_open(name, (writing ? O_RDWR : O_RDONLY) | O_NONBLOCK, 0);
    int error = fd < 0 ? -errno : sys_fork_private(fd);
    if (error < 0 && fd >= 0)
        sys_close(fd);
    sys_fork_release();
    return error < 0 ? error : fd;
}

uint64_t shm_inode(int fd)
{
    struct stat status;
    return sys_fstat(fd, &status) < 0 ? 0 : status.st_ino;
}

int shm_object_open(const struct directory *directory, enum shm_object object, bool writing)
{
    char name[SHM_NAME_BYTES];
    shm_object_name(directory, object, name);
    int fd = shm_open_private(name, writing);
    if (fd == -ENOENT)
        return -ENOENT; /* an answer, not a failure: no sentence */
    if (fd < 0)
        return fail_errno(-fd, "/dev/shm%s, the ring of %s, cannot be opened", name,
                          directory->path);
    int error = check_object(directory, object, fd, name);
    if (error < 0) {
        sys_fork_close(fd);
        return error;
    }
    if (object == SHM_RING)
        return fd;
    uint64_t magic = 0; /* written last, so a state without it was never finished */
    ssize_t got = sys_pread_full(fd, &magic, sizeof magic, 0);
    if (got == sizeof magic && magic != 0)
        return fd;
    sys_fork_close(fd);
    if (got >= 0)
        return -ENOENT;
    /* No answer: to make a new ring in its place would lose what is committed in this one. */
    return fail_errno((int)-got, "/dev/shm%s, the ring of %s, cannot be read", name,
                      directory->path);
}

static int create_object(const struct directory *directory, enum shm_object object)
{
    char name[SHM_NAME_BYTES];
    shm_object_name(directory, object, name);
    uint64_t bytes = object_bytes(directory, object);
    shm_unlink(name);
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR, 0600);
    if (fd < 0 && errno == ENOENT) /* which callers would take for "no log there" */
        return fail(ENOSYS,
                    "/dev/shm is missing, and the ring of %s lies there: mount a tmpfs on it",
                    directory->path);
    if (fd < 0)
        return fail_errno(errno,
                          "/dev/shm%s, the ring of %s, cannot be created; /dev/shm must be a tmpfs "
                          "that this user may write to",
                          name, directory->path);
    int error = fchmod(fd, 0600) < 0 ? -errno : sys_allocate(fd, bytes);
    if (error == 0)
        return fd;
    sys_close(fd);
    shm_unlink(name);
    if (error == -ENOSPC)
        return fail(
            ENOSPC,
            "/dev/shm has no room for %llu more bytes, the ring of %s; make it larger (in a "
            "container: --shm-size) or create the log with a smaller ring",
            (unsigned long long)bytes, directory->path);
    return fail_errno(-error, "/dev/shm%s: %llu bytes cannot be allocated", name,
                      (unsigned long long)bytes);
}

static int initialize_objects(const struct directory *directory, int ring_fd, int state_fd,
                              uint64_t id, uint64_t first_lsn)
{
    struct ring_control *control =
        mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, 0);
    struct flusher_state *state =
        mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, state_fd, 0);
    int error = 0;
    if (control == MAP_FAILED || state == MAP_FAILED) {
        error = fail_errno(errno, "the ring of %s cannot be mapped", directory->path);
    } else {
        state->ring_id = id;
        atomic_store(&state->head_lsn, first_lsn);
        atomic_store(&state->durable_lsn, first_lsn);
        atomic_store(&control->next_attachment, 1);
        ring_initialize(&control->tail, first_lsn);
        atomic_store(&state->magic, REGION_MAGIC);
    }
    if (control != MAP_FAILED)
        munmap(control, sizeof *control);
    if (state != MAP_FAILED)
        munmap(state, sizeof *state);
    return error;
}

int shm_create(const struct directory *directory, uint64_t id, uint64_t first_lsn)
{
    NO_FILE_SIZE_SIGNAL;
    int ring_fd = create_object(directory, SHM_RING);
    if (ring_fd < 0)
        return ring_fd;
    int error = create_object(directory, SHM_STATE);
    if (error >= 0) {
        int state_fd = error;
        error = initialize_objects(directory, ring_fd, state_fd, id, first_lsn);
        sys_close(state_fd);
    }
    sys_close(ring_fd);
    if (error < 0)
        shm_remove(directory);
    return error;
}

void shm_remove(const struct directory *directory)
{
    char name[SHM_NAME_BYTES];
    shm_object_name(directory, SHM_RING, name);
    shm_unlink(name);
    shm_object_name(directory, SHM_STATE, name);
    shm_unlink(name);
}

static int map_views(int fd, bool writing, char *base, uint64_t offset_of_bytes,
                     uint64_t ring_bytes)
{
    int protection = writing ? PROT_READ | PROT_WRITE : PROT_READ;
    int flags = MAP_SHARED | MAP_FIXED;
    uint64_t object = offset_of_bytes + ring_bytes;
    sys_fork_hold();
    bool mapped = mmap(base, object, protection, flags, fd, 0) != MAP_FAILED &&
                  mmap(base + object, ring_bytes, protection, flags, fd, (off_t)offset_of_bytes) !=
                      MAP_FAILED &&
                  madvise(base, object + ring_bytes, MADV_DONTFORK) == 0;
    int error = mapped ? 0 : -errno;
    sys_fork_release();
    if (mapped && writing) /* before Linux 5.14 they come one by one, when they are first used */
        madvise(base, object + ring_bytes, MADV_POPULATE_WRITE);
    return error;
}

int shm_map_ring(const struct directory *directory, int fd, bool writing,
                 struct ring_control **control, char **headers, char **bytes, size_t *mapped_bytes)
{
    uint64_t ring_bytes = directory->meta.ring_bytes;
    uint64_t total = object_bytes(directory, SHM_RING) + ring_bytes;
    char *base = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int error = base == MAP_FAILED
                    ? -errno
                    : map_views(fd, writing, base, bytes_offset(ring_bytes), ring_bytes);
    if (error < 0) {
        if (base != MAP_FAILED)
            munmap(base, total);
        return fail_errno(-error,
                          "the ring of %s, %llu bytes, cannot be mapped; raise the limit on memory "
                          "(ulimit -v, or the container's) or create the log with a smaller ring",
                          directory->path, (unsigned long long)total);
    }
    *control = (struct ring_control *)base;
    *headers = base + headers_offset();
    *bytes = base + bytes_offset(ring_bytes);
    *mapped_bytes = total;
    return 0;
}

int shm_map_state(const struct directory *directory, int fd, bool writing,
                  struct flusher_state **state)
{
    int protection = writing ? PROT_READ | PROT_WRITE : PROT_READ;
    uint64_t magic;
    ssize_t got = sys_pread_full(fd, &magic, sizeof magic, 0);
    if (got != sizeof magic)
        return fail_errno(got < 0 ? (int)-got : EIO, "the state of %s cannot be read",
                          directory->path);
    if (magic != REGION_MAGIC)
        return fail(EPROTO, "the ring of %s was made by an incompatible version", directory->path);
    void *mapped = mmap(NULL, sizeof **state, protection, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (mapped == MAP_FAILED)
        return fail_errno(errno, "the state of %s cannot be mapped", directory->path);
    *state = mapped;
    return 0;
}
