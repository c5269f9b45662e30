/* SPDX-License-Identifier: MIT
 * See watch.h. inotify takes paths only; /proc makes one of a descriptor. */
#include "sys/watch.h"

#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <unistd.h>

int sys_watch_open(int directory, const char *name)
{
    char path[320];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, name);
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
    struct pollfd ready = {.fd = fd, .events = POLLIN}; /* poll passes over a negative one */
    int64_t left = deadline_ns == DEADLINE_NEVER ? 0 : deadline_ns - clock_monotonic_ns();
    left = left < 0 ? 0 : left;
    struct timespec timeout = {left / NS_PER_S, left % NS_PER_S};
    int got = ppoll(&ready, 1, deadline_ns == DEADLINE_NEVER ? NULL : &timeout, NULL);
    if (got < 0)
        return -errno;
    return got == 0 ? -ETIMEDOUT : 0;
}
