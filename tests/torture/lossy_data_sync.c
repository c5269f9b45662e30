/* SPDX-License-Identifier: MIT
 *
 * Makes a flusher that syncs no data, for the torture's own test: it must be caught.
 *
 * Linked into one with LDFLAGS: -Wl,--wrap=sys_pwrite_full -Wl,--wrap=sys_fdatasync
 *
 * Knows sys/file.h. Changes when the store syncs in another way. */
#include "sys/file.h"

int __real_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_fdatasync(int fd);

int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable)
{
    (void)durable;
    return __real_sys_pwrite_full(fd, data, length, offset, false);
}

int __wrap_sys_fdatasync(int fd)
{
    (void)fd;
    return 0;
}
