/* SPDX-License-Identifier: MIT
 *
 * A device that fails: every call that changes a file is counted, and from a chosen one on a chosen
 * number of them fails. A write that fails has written its first half, as a power cut would leave
 * it.
 *
 * A test that includes this is linked with -Wl,--wrap= for each function below. */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include "segment/segment.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <unistd.h>

static struct {
    atomic_int calls;        /* since faults_arm() */
    atomic_int first, count; /* which fail: numbers from 0 on */
    atomic_int error;
    atomic_int struck; /* how many have failed */
    atomic_bool writes_only;
} faults = {.first = INT_MAX};

static inline void faults_arm(int first, int count, int error, bool writes_only)
{
    faults.calls = faults.struck = 0;
    faults.count = count;
    faults.error = error;
    faults.writes_only = writes_only;
    faults.first = first;
}

static inline void faults_disarm(void)
{
    faults.first = INT_MAX;
}

static inline int faults_strike(bool write)
{
    if (faults.first == INT_MAX || (faults.writes_only && !write))
        return 0;
    int call = atomic_fetch_add(&faults.calls, 1);
    if (call < faults.first || call - faults.first >= faults.count)
        return 0;
    atomic_fetch_add(&faults.struck, 1);
    return -faults.error;
}

int __real_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable)
{
    int error = faults_strike(true);
    if (error != 0 && atomic_load(&faults.struck) == 1)
        __real_sys_pwrite_full(fd, data, length / 2 / FORMAT_BLOCK * FORMAT_BLOCK, offset, durable);
    return error != 0 ? error : __real_sys_pwrite_full(fd, data, length, offset, durable);
}

#define FAULTS_WRAP(name, write, parameters, ...)                                                  \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        int error = faults_strike(write);                                                          \
        return error != 0 ? error : __real_##name(__VA_ARGS__);                                    \
    }

FAULTS_WRAP(sys_fdatasync, true, (int fd), fd)
FAULTS_WRAP(sys_fsync, false, (int fd), fd)
FAULTS_WRAP(sys_allocate, false, (int fd, uint64_t bytes), fd, bytes)
FAULTS_WRAP(sys_mkdirat, false, (int directory, const char *name, mode_t mode), directory, name,
            mode)
FAULTS_WRAP(sys_renameat, false,
            (int directory, const char *from, int to_directory, const char *to), directory, from,
            to_directory, to)

#endif
