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
#include <string.h>
#include <unistd.h>

static struct {
    atomic_int calls;        /* since faults_arm() */
    atomic_int first, count; /* which fail: numbers from 0 on */
    atomic_int error;
    atomic_int struck; /* how many have failed */
    atomic_bool writes_only;
    atomic_bool traced;
    char trace[64]; /* the letter of each call, by its number */
} faults = {.first = INT_MAX};

static inline void faults_arm(int first, int count, int error, bool writes_only)
{
    faults.calls = faults.struck = 0;
    faults.count = count;
    faults.error = error;
    faults.writes_only = writes_only;
    faults.first = first;
}

/* Nothing fails, but the calls are written down. For a test in which one thread makes them. */
static inline void faults_trace(void)
{
    memset(faults.trace, 0, sizeof faults.trace);
    faults.traced = true;
    faults_arm(INT_MAX - 1, 0, EIO, false);
}

static inline void faults_disarm(void)
{
    faults.first = INT_MAX;
    faults.traced = false;
}

/* Letters: W a write, D fdatasync, F fsync of a file, P fsync of a directory, A allocation,
 * R rename, M mkdir. */
static inline int faults_strike(bool write, char letter)
{
    if (faults.first == INT_MAX || (faults.writes_only && !write))
        return 0;
    int call = atomic_fetch_add(&faults.calls, 1);
    if (faults.traced && call + 1 < (int)sizeof faults.trace)
        faults.trace[call] = letter;
    if (call < faults.first || call - faults.first >= faults.count)
        return 0;
    atomic_fetch_add(&faults.struck, 1);
    return -faults.error;
}

int __real_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable)
{
    int error = faults_strike(true, 'W');
    if (error != 0 && atomic_load(&faults.struck) == 1)
        __real_sys_pwrite_full(fd, data, length / 2 / FORMAT_BLOCK * FORMAT_BLOCK, offset, durable);
    return error != 0 ? error : __real_sys_pwrite_full(fd, data, length, offset, durable);
}

#define FAULTS_WRAP(name, write, letter, parameters, ...)                                          \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        int error = faults_strike(write, letter);                                                  \
        return error != 0 ? error : __real_##name(__VA_ARGS__);                                    \
    }

static inline char faults_fsync_letter(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISDIR(status.st_mode) ? 'P' : 'F';
}

FAULTS_WRAP(sys_fdatasync, true, 'D', (int fd), fd)
FAULTS_WRAP(sys_fsync, false, faults_fsync_letter(fd), (int fd), fd)
FAULTS_WRAP(sys_allocate, false, 'A', (int fd, uint64_t bytes), fd, bytes)
FAULTS_WRAP(sys_mkdirat, false, 'M', (int directory, const char *name, mode_t mode), directory,
            name, mode)
FAULTS_WRAP(sys_renameat, false, 'R',
            (int directory, const char *from, int to_directory, const char *to), directory, from,
            to_directory, to)

#endif
