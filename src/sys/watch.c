/* SPDX-License-Identifier: MIT
 * See watch.h. */
#include "sys/watch.h"

#include "sys/clock.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

int sys_watch_open(const char *path)
{
    int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (inotify_add_watch(fd, path, IN_ATTRIB) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

int sys_watch_wait(int fd, int64_t deadline_ns)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char events[1024];
    int64_t left = deadline_ns == DEADLINE_NEVER ? INT64_MAX : deadline_ns - clock_monotonic_ns();
    int64_t left_ms = left < 0 ? 0 : left / NS_PER_MS + (left % NS_PER_MS != 0);
    int got = poll(&ready, 1, left_ms < INT_MAX ? (int)left_ms : -1);
    if (got < 0)
        return -errno;
    if (got == 0)
        return -ETIMEDOUT;
    while (read(fd, events, sizeof events) > 0)
        continue;
    return 0;
}
