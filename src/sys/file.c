/* SPDX-License-Identifier: MIT
 * See file.h. */
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

/* The largest single transfer: below the kernel's own limit and a multiple of every block size. */
enum { TRANSFER_BYTES_MAX = 1 << 30 };

#define RETRY(call)                                                                                \
    ({                                                                                             \
        long result_;                                                                              \
        do {                                                                                       \
            result_ = (call);                                                                      \
        } while (result_ < 0 && errno == EINTR);                                                   \
        result_ < 0 ? -errno : result_;                                                            \
    })

static int open_file(int directory, const char *name, int flags, mode_t mode)
{
    return (int)RETRY(openat(directory, name, flags | O_CLOEXEC | O_NOFOLLOW, mode));
}

/* Where it cannot be given (a file system without modes), who opens the file next will tell. */
static int make_file(int directory, const char *name, int flags, mode_t mode)
{
    int fd = open_file(directory, name, flags | O_EXCL, mode);
    if (fd >= 0)
        (void)!fchmod(fd, mode);
    return fd;
}

int sys_openat(int directory, const char *name, int flags, mode_t mode)
{
    if (!(flags & O_CREAT))
        return open_file(directory, name, flags, 0);
    for (;;) {
        int fd = make_file(directory, name, flags, mode);
        if (fd != -EEXIST || (flags & O_EXCL))
            return fd;
        fd = open_file(directory, name, flags & ~O_CREAT, 0);
        if (fd != -ENOENT) /* else it has just gone */
            return fd;
    }
}

/* Not retried: on Linux the descriptor is gone even when close reports EINTR. */
int sys_close(int fd)
{
    return close(fd) < 0 && errno != EINTR ? -errno : 0;
}

int sys_fstat(int fd, struct stat *status)
{
    return (int)RETRY(fstat(fd, status));
}

/* The directory may not be opened yet, only named; and the name may be another's by now. */
static void give_owner(int directory, const char *name, mode_t mode)
{
    struct stat status;
    char link[32];
    int fd = open_file(directory, name, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (fstat(fd, &status) == 0 && status.st_uid == geteuid() && (mode & S_IRWXU & ~status.st_mode))
        (void)!chmod(link, (status.st_mode & 07777) | (mode & S_IRWXU));
    close(fd);
}

int sys_mkdirat(int directory, const char *name, mode_t mode)
{
    int error = (int)RETRY(mkdirat(directory, name, mode));
    if (error == 0)
        give_owner(directory, name, mode);
    return error;
}

int sys_renameat(int directory, const char *from, int to_directory, const char *to)
{
    return (int)RETRY(renameat(directory, from, to_directory, to));
}

int sys_unlinkat(int directory, const char *name)
{
    return (int)RETRY(unlinkat(directory, name, 0));
}

int sys_touch(int fd)
{
    return (int)RETRY(futimens(fd, NULL));
}

ssize_t sys_pread_full(int fd, void *data, size_t length, uint64_t offset)
{
    size_t done = 0;
    while (done < length) {
        size_t want = length - done < TRANSFER_BYTES_MAX ? length - done : TRANSFER_BYTES_MAX;
        long got = RETRY(pread(fd, (char *)data + done, want, (off_t)(offset + done)));
        if (got < 0)
            return got;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

int sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable)
{
    size_t done = 0;
    while (done < length) {
        size_t want = length - done < TRANSFER_BYTES_MAX ? length - done : TRANSFER_BYTES_MAX;
        struct iovec part = {(char *)data + done, want};
        long put = RETRY(pwritev2(fd, &part, 1, (off_t)(offset + done), durable ? RWF_DSYNC : 0));
        if (put < 0)
            return (int)put;
        if (put == 0)
            return -EIO;
        done += (size_t)put;
    }
    return 0;
}

int sys_fdatasync(int fd)
{
    return (int)RETRY(fdatasync(fd));
}

int sys_fsync(int fd)
{
    return (int)RETRY(fsync(fd));
}

int sys_allocate(int fd, uint64_t bytes)
{
    int error;
    do {
        error = posix_fallocate(fd, 0, (off_t)bytes);
    } while (error == EINTR);
    return -error;
}

int sys_punch(int fd, uint64_t offset, uint64_t bytes)
{
    return (int)RETRY(
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)bytes));
}
