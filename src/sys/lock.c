/* SPDX-License-Identifier: MIT
 * See lock.h. */
#include "sys/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int lock_call(int fd, int command, short type, uint64_t byte)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)byte, .l_len = 1};
    int result;
    do {
        result = fcntl(fd, command, &lock);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : 0;
}

int sys_lock_try(int fd, uint64_t byte)
{
    int error = lock_call(fd, F_OFD_SETLK, F_WRLCK, byte);
    return error == -EACCES ? -EAGAIN : error;
}

int sys_lock_wait(int fd, uint64_t byte)
{
    return lock_call(fd, F_OFD_SETLKW, F_WRLCK, byte);
}

int sys_unlock(int fd, uint64_t byte)
{
    return lock_call(fd, F_OFD_SETLK, F_UNLCK, byte);
}

int sys_lock_held(int fd, uint64_t first, uint64_t count)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)first, .l_len = (off_t)count};
    if (fcntl(fd, F_OFD_GETLK, &lock) < 0)
        return -errno;
    return lock.l_type != F_UNLCK;
}
