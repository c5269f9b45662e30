/* SPDX-License-Identifier: MIT
 *
 * Every call that the store makes to the file system: the fault-injection seam.
 *
 * Each function is its system call with EINTR retried and the errno returned negative; nothing else
 * of the library calls the file system directly, so a test that replaces these (linked with
 * -Wl,--wrap=sys_...) can make any call fail. No sentence is set here: the caller knows the file.
 *
 * Knows base. Changes when the store needs another call. */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* O_CLOEXEC and O_NOFOLLOW are always added. A file that it makes has just `mode`, whatever the
 * umask is. Returns the descriptor. */
int sys_openat(int directory, const char *name, int flags, mode_t mode);
int sys_close(int fd);
int sys_fstat(int fd, struct stat *status);
/* The umask takes nothing from the owner. */
int sys_mkdirat(int directory, const char *name, mode_t mode);
int sys_renameat(int directory, const char *from, int to_directory, const char *to);
int sys_unlinkat(int directory, const char *name);
int sys_touch(int fd); /* sets the file's times to now */

/* Bytes read, which fewer than asked for mean the end of the file. */
ssize_t sys_pread_full(int fd, void *data, size_t length, uint64_t offset);
/* Writes all or fails; `durable` makes it O_DSYNC for this one write. */
int sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int sys_fdatasync(int fd);
int sys_fsync(int fd);
int sys_allocate(int fd, uint64_t bytes);               /* posix_fallocate from 0 */
int sys_punch(int fd, uint64_t offset, uint64_t bytes); /* frees blocks, keeps the size */

#endif
