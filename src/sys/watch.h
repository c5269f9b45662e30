/* SPDX-License-Identifier: MIT
 *
 * Waiting until a file's attributes change, by inotify. Knows sys/clock.h. */
#ifndef SYS_WATCH_H
#define SYS_WATCH_H

#include <stdint.h>

/* Begins to watch the file at `path`: a descriptor for sys_watch_wait() and sys_close(). Changes from
 * here on are not missed. */
int sys_watch_open(const char *path);

/* Waits for a change since the watch was opened or last waited on: 0, -ETIMEDOUT, or -EINTR. */
int sys_watch_wait(int fd, int64_t deadline_ns);

#endif
