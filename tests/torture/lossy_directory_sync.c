/* SPDX-License-Identifier: MIT
 *
 * Makes a flusher that syncs no directory, for the torture's own test: it must be caught.
 *
 * Linked into one with LDFLAGS: -Wl,--wrap=sys_fsync
 *
 * Knows sys/file.h. Changes when the store syncs in another way. */
#include "sys/file.h"

int __real_sys_fsync(int fd);
int __wrap_sys_fsync(int fd);

int __wrap_sys_fsync(int fd)
{
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    return __real_sys_fsync(fd);
}
