/* SPDX-License-Identifier: MIT
 *
 * Waiting until somebody touches a file. Knows sys/clock.h. */
#ifndef SYS_WATCH_H
#define SYS_WATCH_H

#include <stdint.h>

/* Begins to watch the file `name` of a directory: a descriptor for sys_watch_wait() and
 * sys_close(), or a negative errno. Changes of the file's attributes are not missed from here
 * on. */
int sys_watch_open(int directory, const char *name);

/* Waits for a change since the watch was opened: 0, -ETIMEDOUT, or -EINTR. With a negative
 * descriptor it only waits for the deadline. */
int sys_watch_wait(int fd, int64_t deadline_ns);

#endif
