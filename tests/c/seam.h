/* SPDX-License-Identifier: MIT
 *
 * A kernel that fails: the calls of src/sys are counted, and from a chosen one on a chosen number
 * of them fails, whoever makes it.
 *
 * A test that includes this is linked with -Wl,--wrap= for each function below. */
#ifndef TESTS_SEAM_H
#define TESTS_SEAM_H

#include "sys/file.h"
#include "sys/fork.h"
#include "sys/listing.h"
#include "sys/lock.h"
#include "sys/process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <string.h>

static struct {
    atomic_int calls;        /* since seam_arm() */
    atomic_int first, count; /* which fail: numbers from 0 on */
    atomic_int struck;       /* how many have failed */
    int error;               /* 0: a read finds that the file ends there */
    const char *only;        /* others neither count nor fail; NULL: all do */
    const char *name;        /* of the first that has failed */
} seam = {.first = INT_MAX, .name = ""};

static inline void seam_arm(int first, int count, int error, const char *only)
{
    seam.calls = seam.struck = 0;
    seam.count = count;
    seam.error = error;
    seam.only = only;
    seam.first = first;
}

static inline void seam_disarm(void)
{
    seam.first = INT_MAX;
}

static inline bool seam_strikes(const char *name)
{
    if (seam.first == INT_MAX || (seam.only != NULL && strcmp(seam.only, name) != 0))
        return false;
    int call = atomic_fetch_add(&seam.calls, 1);
    if (call < seam.first || call - seam.first >= seam.count)
        return false;
    if (atomic_fetch_add(&seam.struck, 1) == 0)
        seam.name = name;
    return true;
}

#define SEAM_WRAP(type, name, parameters, ...)                                                     \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        return seam_strikes(#name) ? -seam.error : __real_##name(__VA_ARGS__);                     \
    }

SEAM_WRAP(int, sys_openat, (int directory, const char *name, int flags, mode_t mode), directory,
          name, flags, mode)
SEAM_WRAP(int, sys_fstat, (int fd, struct stat *status), fd, status)
SEAM_WRAP(int, sys_mkdirat, (int directory, const char *name, mode_t mode), directory, name, mode)
SEAM_WRAP(int, sys_renameat, (int directory, const char *from, int to_directory, const char *to),
          directory, from, to_directory, to)
SEAM_WRAP(int, sys_unlinkat, (int directory, const char *name), directory, name)
SEAM_WRAP(int, sys_touch, (int fd), fd)
SEAM_WRAP(ssize_t, sys_pread_full, (int fd, void *data, size_t length, uint64_t offset), fd, data,
          length, offset)
SEAM_WRAP(int, sys_pwrite_full,
          (int fd, const void *data, size_t length, uint64_t offset, bool durable), fd, data,
          length, offset, durable)
SEAM_WRAP(int, sys_fdatasync, (int fd), fd)
SEAM_WRAP(int, sys_fsync, (int fd), fd)
SEAM_WRAP(int, sys_allocate, (int fd, uint64_t bytes), fd, bytes)
SEAM_WRAP(int, sys_punch, (int fd, uint64_t offset, uint64_t bytes), fd, offset, bytes)
SEAM_WRAP(int, sys_list,
          (int directory, int (*visit)(void *context, const char *name), void *context), directory,
          visit, context)
SEAM_WRAP(int, sys_lock_wait, (int fd, uint64_t byte), fd, byte)
SEAM_WRAP(int, sys_lock_try, (int fd, uint64_t byte), fd, byte)
SEAM_WRAP(int, sys_lock_held, (int fd, uint64_t byte, uint64_t count), fd, byte, count)
SEAM_WRAP(int, sys_fork_private, (int fd), fd)
SEAM_WRAP(int, sys_process_open, (pid_t pid), pid)
SEAM_WRAP(int, sys_process_kill, (int fd), fd)
SEAM_WRAP(int, sys_process_await_end, (int fd, int64_t deadline_ns), fd, deadline_ns)

static inline unsigned seam_open_files(void)
{
    DIR *stream = opendir("/proc/self/fd");
    unsigned files = 0;
    while (readdir(stream) != NULL)
        files++;
    closedir(stream);
    return files;
}

#endif
