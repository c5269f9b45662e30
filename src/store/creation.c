/* SPDX-License-Identifier: MIT
 *
 * Making a log: directory_create() of directory.h, in the steps that leftovers.h names.
 *
 * Knows directory.h, spare.h, segment, format, sys, base.
 * Changes with what a new log consists of. */
#include "store/directory.h"

#include "base/error.h"
#include "segment/segment.h"
#include "store/spare.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define RING_BYTES_DEFAULT    (32 * MIB)
#define SEGMENT_BYTES_DEFAULT (64 * MIB)
#define BYTES_MIN             (64 * KIB)
#define BYTES_MAX             (64 * GIB)

/* ---- Sizes ---- */

static int check_size(const char *what, uint64_t bytes)
{
    if (bytes >= BYTES_MIN && bytes <= BYTES_MAX)
        return 0;
    return fail(EINVAL, "%s of %llu bytes: it must have 64 KiB to 64 GiB", what,
                (unsigned long long)bytes);
}

static int check_spares(uint64_t spare_bytes, uint64_t segment_bytes)
{
    if (spare_bytes <= SPARES_MAX * segment_bytes)
        return 0;
    return fail(EINVAL,
                "spare files of %llu bytes: more than %d files of %llu bytes are never kept; ask "
                "for less, or for larger segments",
                (unsigned long long)spare_bytes, SPARES_MAX, (unsigned long long)segment_bytes);
}

static uint64_t power_of_two(uint64_t bytes)
{
    uint64_t power = BYTES_MIN;
    while (power < bytes)
        power *= 2;
    return power;
}

static int make_meta(uint64_t ring_bytes, uint64_t segment_bytes, uint64_t spare_bytes,
                     struct meta *meta)
{
    ring_bytes = ring_bytes != 0 ? ring_bytes : RING_BYTES_DEFAULT;
    segment_bytes = segment_bytes != 0 ? segment_bytes : SEGMENT_BYTES_DEFAULT;
    int error = check_size("a ring", ring_bytes);
    if (error == 0)
        error = check_size("a segment", segment_bytes);
    if (error == 0)
        error = check_spares(spare_bytes, round_up(segment_bytes, FORMAT_BLOCK));
    if (error < 0)
        return error;
    memset(meta, 0, sizeof *meta);
    if (getrandom(meta->uuid, sizeof meta->uuid, 0) != sizeof meta->uuid)
        return fail_errno(errno, "cannot draw a random number");
    meta->uuid[6] = (meta->uuid[6] & 0x0F) | 0x40; /* a random UUID, RFC 9562 version 4 */
    meta->uuid[8] = (meta->uuid[8] & 0x3F) | 0x80;
    meta->ring_bytes = power_of_two(ring_bytes);
    meta->segment_bytes = round_up(segment_bytes, FORMAT_BLOCK);
    meta->created_ns = (uint64_t)clock_real_ns();
    meta->spare_bytes = spare_bytes;
    meta_seal(meta);
    return 0;
}

/* ---- Directories ---- */

/* Some file systems cannot sync a directory, or are read-only: there is nothing to sync then. */
static int sync_directory(int fd, const char *path)
{
    int error = sys_fsync(fd);
    if (error < 0 && error != -EINVAL && error != -EROFS)
        return fail_errno(-error, "cannot sync the directory %s", path);
    return 0;
}

/* The directory that the name of `path` stands in. */
static int sync_parent(const char *path)
{
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fail_errno(-fd, "cannot open the directory %s", path);
    int parent = sys_openat(fd, "..", O_RDONLY | O_DIRECTORY, 0);
    sys_close(fd);
    if (parent == -EACCES) /* it may be passed through but not read: then it is not ours to sync */
        return 0;
    if (parent < 0)
        return fail_errno(-parent, "cannot open the parent of %s", path);
    int error = sync_directory(parent, path);
    sys_close(parent);
    return error;
}

/* Makes `path` and the parents it lacks; each one's name is synced before anything is put into
 * it. */
static int make_directories(char *path, mode_t mode)
{
    int error = sys_mkdirat(AT_FDCWD, path, mode);
    char *slash = strrchr(path, '/');
    if (error == -ENOENT && slash != NULL && slash != path) {
        *slash = '\0';
        error = make_directories(path, 0777);
        *slash = '/';
        if (error < 0)
            return error;
        error = sys_mkdirat(AT_FDCWD, path, mode);
    }
    if (error == -EEXIST)
        return 0;
    if (error < 0)
        return fail_errno(-error, "cannot make the directory %s", path);
    return sync_parent(path);
}

static int make_inner(const struct directory *directory, const char *name, int *fd)
{
    int error = sys_mkdirat(directory->fd, name, 0700);
    if (error < 0 && error != -EEXIST)
        return fail_errno(-error, "cannot make the directory %s/%s", directory->path, name);
    *fd = sys_openat(directory->fd, name, O_RDONLY | O_DIRECTORY, 0);
    return *fd < 0 ? fail_errno(-*fd, "cannot open %s/%s", directory->path, name) : 0;
}

/* ---- Contents ---- */

static int write_meta(const struct directory *directory)
{
    const char *path = directory->path;
    sys_unlinkat(directory->fd, "meta.tmp");
    int fd = sys_openat(directory->fd, "meta.tmp", O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fail_errno(-fd, "cannot create %s/meta.tmp", path);
    int error = sys_pwrite_full(fd, &directory->meta, sizeof directory->meta, 0, false);
    if (error == 0)
        error = sys_fsync(fd);
    sys_close(fd);
    if (error < 0)
        return fail_errno(-error, "cannot write %s/meta.tmp", path);
    return sync_directory(directory->fd, path);
}

/* The first segment begins with a seal: the log is whole, and ends where it begins. */
static int write_first_segment(const struct directory *directory)
{
    struct segment segment;
    struct segment_header wanted = {.previous_first_lsn = FORMAT_LSN_NONE,
                                    .file_bytes = directory->meta.segment_bytes};
    memcpy(wanted.uuid, directory->meta.uuid, sizeof wanted.uuid);
    int error = segment_create(directory->segments_fd, "first.tmp", false, &wanted, SYNC_FDATASYNC,
                               &segment);
    if (error < 0)
        return error;
    error = segment_write_mark(&segment, FRAME_SEAL, FORMAT_BLOCK, 0);
    if (error == 0) {
        error =
            sys_renameat(directory->segments_fd, "first.tmp", directory->segments_fd, segment.name);
        if (error < 0)
            error = fail_errno(-error, "cannot name segment %s", segment.name);
    }
    if (error < 0)
        sys_unlinkat(directory->segments_fd, "first.tmp");
    segment_close(&segment);
    return error;
}

static int write_contents(struct directory *directory)
{
    int cursors;
    int error = write_meta(directory);
    if (error == 0)
        error = directory_name_ring(directory, 0); /* so that a full disk has room for a name */
    if (error == 0)
        error = make_inner(directory, "cursors", &cursors);
    if (error < 0)
        return error;
    sys_close(cursors);
    error = make_inner(directory, "segments", &directory->segments_fd);
    if (error == 0)
        error = write_first_segment(directory);
    if (error == 0)
        error = sync_directory(directory->segments_fd, directory->path);
    if (error == 0)
        error = sync_directory(directory->fd, directory->path);
    if (error == 0)
        error = sync_parent(directory->path);
    return error;
}

static int give_meta_its_name(const struct directory *directory)
{
    int error = sys_renameat(directory->fd, "meta.tmp", directory->fd, "meta");
    if (error < 0)
        return fail_errno(-error, "cannot rename %s/meta.tmp to meta", directory->path);
    return sync_directory(directory->fd, directory->path);
}

/* ---- One creator at a time ---- */

static int lock_creation(struct directory *directory)
{
    directory->lock_fd = directory_open_lock(directory->fd, true);
    if (directory->lock_fd == -EBADMSG)
        return fail(EBADMSG, "%s/lock is not a regular file; remove it", directory->path);
    if (directory->lock_fd < 0)
        return fail_errno(-directory->lock_fd, "cannot open %s/lock", directory->path);
    int error = sys_lock_wait(directory->lock_fd, LOCK_RING);
    return error < 0 ? fail_errno(-error, "cannot lock %s/lock", directory->path) : 0;
}

/* In the directory, which is there and ours. Whoever had the lock before may have finished it. */
static int create_inside(struct directory *directory)
{
    struct directory finished;
    int error = lock_creation(directory);
    if (error < 0)
        return error;
    error = directory_open(directory->path, true, &finished);
    if (error == 0)
        directory_close(&finished);
    if (error != -ENOENT)
        return error;
    error = write_contents(directory);
    if (error < 0)
        return fail_context(error, "cannot make the log %s", directory->path);
    return give_meta_its_name(directory);
}

static int create_at(char *path, struct directory *directory)
{
    for (size_t last = strlen(path); last > 1 && path[last - 1] == '/'; last--)
        path[last - 1] = '\0';
    int error = make_directories(path, 0700);
    if (error < 0)
        return error;
    directory->path = realpath(path, NULL);
    if (directory->path == NULL)
        return fail_errno(errno, "cannot find %s", path);
    directory->fd = sys_openat(AT_FDCWD, directory->path, O_RDONLY | O_DIRECTORY, 0);
    if (directory->fd < 0)
        return fail_errno(-directory->fd, "cannot open %s", directory->path);
    return create_inside(directory);
}

int directory_create(const char *path, uint64_t ring_bytes, uint64_t segment_bytes)
{
    return directory_create_with_spares(path, ring_bytes, segment_bytes, 0);
}

int directory_create_with_spares(const char *path, uint64_t ring_bytes, uint64_t segment_bytes,
                                 uint64_t spare_bytes)
{
    NO_FILE_SIZE_SIGNAL;
    struct directory directory = {.fd = -1, .segments_fd = -1, .lock_fd = -1};
    int error = directory_open(path, true, &directory);
    if (error != -ENOENT || path == NULL || path[0] == '\0') {
        if (error == 0)
            directory_close(&directory);
        return error;
    }
    error = make_meta(ring_bytes, segment_bytes, spare_bytes, &directory.meta);
    if (error < 0)
        return error;
    char *copy = strdup(path);
    if (copy == NULL)
        return fail(ENOMEM, "no memory for a path");
    error = create_at(copy, &directory);
    free(copy);
    if (directory.lock_fd >= 0)
        sys_unlock(directory.lock_fd, LOCK_RING); /* a copy of the descriptor may live on */
    directory_close(&directory);
    return error;
}
