/* SPDX-License-Identifier: MIT
 * See directory.h: opening a log, and saying why a directory is none. Making one is creation.c. */
#include "store/directory.h"

#include "base/error.h"
#include "store/earlier.h"
#include "store/leftovers.h"
#include "sys/file.h"
#include "sys/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The last component may be a symbolic link too: a log that lives on another disk. What is inside
 * the log may not. */
static int resolve(const char *path, char **resolved)
{
    if (path == NULL || path[0] == '\0')
        return fail(ENOENT, "the log's path is empty");
    *resolved = realpath(path, NULL);
    if (*resolved != NULL)
        return 0;
    if (errno == ENOENT)
        return fail(ENOENT, "there is no log at %s", path);
    return fail_errno(errno, "cannot find %s", path);
}

static int check_owner(const char *path, const struct stat *status)
{
    if (status->st_uid == geteuid())
        return 0;
    return fail(EACCES,
                "%s belongs to user %u, and this process runs as user %u: only a log's owner "
                "appends to it; run as that user, or use another path",
                path, status->st_uid, geteuid());
}

/* In quotes, so that it can be pasted into a shell. */
static int fail_file(const char *path)
{
    switch (earlier_recognize(path)) {
    case EARLIER_LOG:
        return fail(
            ENOTDIR,
            "%s is a log file of the earlier DuraLog library; when nothing writes to it any "
            "more, bring it over: mv '%s' '%s.old' && duralog import '%s.old' '%s'",
            path, path, path, path, path);
    case EARLIER_EMPTY:
        return fail(ENOTDIR,
                    "%s is an empty file; a log is a directory: remove it, or use another "
                    "path",
                    path);
    default:
        return fail(ENOTDIR, "%s is a file; a log is a directory: use another path", path);
    }
}

static int open_itself(bool writing, struct directory *directory)
{
    struct stat status;
    const char *path = directory->path;
    directory->fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (directory->fd == -ENOTDIR)
        return fail_file(path);
    if (directory->fd < 0)
        return fail_errno(-directory->fd, "cannot open %s", path);
    int error = sys_fstat(directory->fd, &status);
    if (error < 0)
        return fail_errno(-error, "%s", path);
    directory->device = status.st_dev;
    directory->inode = status.st_ino;
    return writing ? check_owner(path, &status) : 0;
}

/* There is no meta. */
static int explain_missing_meta(const struct directory *directory)
{
    struct leftovers found;
    int error = leftovers_find(directory->fd, &found);
    if (error < 0)
        return fail_errno(-error, "cannot read the directory %s", directory->path);
    if (found.foreign[0] != '\0')
        return fail(ENOTEMPTY,
                    "%s is a directory with other things in it (%s), not a log: choose "
                    "a path that is free",
                    directory->path, found.foreign);
    if (found.segments && !found.begun)
        return fail(EBADMSG,
                    "%s/meta is missing beside segments: restore it from a copy of this log",
                    directory->path);
    return fail(ENOENT, "there is no log at %s", directory->path);
}

static int check_meta(const struct directory *directory, ssize_t got)
{
    const char *path = directory->path;
    if (got < (ssize_t)sizeof directory->meta)
        return fail(EBADMSG,
                    "%s/meta is %zd bytes long instead of %zu: restore it from a copy of "
                    "this log",
                    path, got, sizeof directory->meta);
    switch (meta_check(&directory->meta)) {
    case BLOCK_FOREIGN:
        return fail(EBADMSG, "%s/meta is not a log's: restore it from a copy of this log", path);
    case BLOCK_DAMAGED:
        return fail(EBADMSG,
                    "%s/meta does not match its checksum: restore it from a copy of this log",
                    path);
    case BLOCK_INCOMPATIBLE:
        return fail(EPROTO,
                    "%s was made by a version of this library that this one does not "
                    "understand: use that version",
                    path);
    case BLOCK_VALID:
        break;
    }
    return 0;
}

static int read_meta(struct directory *directory)
{
    struct stat status;
    int fd = sys_openat(directory->fd, "meta", O_RDONLY | O_NONBLOCK, 0);
    if (fd == -ENOENT) {
        int error = explain_missing_meta(directory);
        /* Its creator may have given it its name since the first look. */
        fd = sys_openat(directory->fd, "meta", O_RDONLY | O_NONBLOCK, 0);
        if (fd == -ENOENT)
            return error;
    }
    if (fd < 0)
        return fail_errno(-fd, "cannot open %s/meta", directory->path);
    ssize_t got = sys_fstat(fd, &status);
    if (got == 0 && !S_ISREG(status.st_mode)) {
        sys_close(fd);
        return fail(EBADMSG, "%s/meta is not a regular file", directory->path);
    }
    if (got == 0)
        got = sys_pread_full(fd, &directory->meta, sizeof directory->meta, 0);
    sys_close(fd);
    if (got < 0)
        return fail_errno((int)-got, "cannot read %s/meta", directory->path);
    return check_meta(directory, got);
}

/* It is opened twice: to make or find it may take a device's time, which no fork shall wait for;
 * the second time it is in the kernel's memory. */
int directory_open_lock(int directory, bool writing)
{
    struct stat status;
    int flags = O_NONBLOCK | (writing ? O_RDWR : O_RDONLY);
    int first = sys_openat(directory, "lock", flags | (writing ? O_CREAT : 0), 0600);
    if (first < 0)
        return first;
    sys_fork_hold();
    int fd = sys_openat(directory, "lock", flags, 0);
    int error = fd < 0 ? fd : sys_fork_private(fd);
    if (error < 0 && fd >= 0) {
        sys_close(fd);
        fd = -1;
    }
    sys_fork_release();
    sys_close(first);
    if (error == 0)
        error = sys_fstat(fd, &status);
    if (error == 0 && !S_ISREG(status.st_mode))
        error = -EBADMSG;
    if (error < 0 && fd >= 0)
        sys_fork_close(fd);
    return error < 0 ? error : fd;
}

/* A copy may have come without the lock file. */
static int open_lock(bool writing, struct directory *directory)
{
    directory->lock_fd = directory_open_lock(directory->fd, writing);
    if (directory->lock_fd >= 0)
        return 0;
    int error = -directory->lock_fd;
    directory->lock_fd = -1;
    if (writing && error == EBADMSG)
        return fail(EBADMSG, "%s/lock is not a regular file; remove it", directory->path);
    if (writing && error == EROFS)
        return fail(
            EROFS,
            "%s lies on a read-only file system: it can be read, with `duralog cat` and the "
            "like, but not be opened for appending",
            directory->path);
    return writing ? fail_errno(error, "cannot open %s/lock", directory->path) : 0;
}

static int open_segments(struct directory *directory)
{
    directory->segments_fd = sys_openat(directory->fd, "segments", O_RDONLY | O_DIRECTORY, 0);
    if (directory->segments_fd >= 0)
        return 0;
    int error = -directory->segments_fd;
    if (error == ENOENT || error == ENOTDIR)
        return fail(EBADMSG, "%s/segments is missing: restore it from a copy of this log",
                    directory->path);
    return fail_errno(error, "cannot open %s/segments", directory->path);
}

int directory_open(const char *path, bool writing, struct directory *directory)
{
    struct directory opened = {.fd = -1, .segments_fd = -1, .lock_fd = -1};
    int error = resolve(path, &opened.path);
    if (error < 0)
        return error;
    error = open_itself(writing, &opened);
    if (error == 0)
        error = read_meta(&opened);
    if (error == 0)
        error = open_segments(&opened);
    if (error == 0)
        error = open_lock(writing, &opened);
    if (error < 0) {
        directory_close(&opened);
        return error;
    }
    *directory = opened;
    return 0;
}

int directory_named_ring(const struct directory *directory, uint64_t *id)
{
    uint64_t named = 0; /* what is too short names none */
    ssize_t got = sys_pread_full(directory->lock_fd, &named, sizeof named, 0);
    if (got < 0)
        return fail_errno((int)-got, "cannot read %s/lock", directory->path);
    *id = got == sizeof named ? named : 0;
    return 0;
}

int directory_name_ring(const struct directory *directory, uint64_t id)
{
    int error = sys_pwrite_full(directory->lock_fd, &id, sizeof id, 0, false);
    if (error < 0)
        return fail_errno(-error, "cannot write %s/lock", directory->path);
    sys_touch(directory->lock_fd);
    return 0;
}

void directory_close(struct directory *directory)
{
    int *descriptors[] = {&directory->segments_fd, &directory->fd};
    if (directory->lock_fd >= 0)
        sys_fork_close(directory->lock_fd);
    directory->lock_fd = -1;
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++) {
        if (*descriptors[i] >= 0)
            sys_close(*descriptors[i]);
        *descriptors[i] = -1;
    }
    free(directory->path);
    directory->path = NULL;
}
