/* SPDX-License-Identifier: MIT
 *
 * Another process, by its pid: to kill it, and to await its end.
 *
 * A pid means something only in its own PID namespace, so it goes with that one's number.
 *
 * Knows sys/clock.h. */
#ifndef SYS_PROCESS_H
#define SYS_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/* The number of this process's PID namespace; 0 if it cannot be known (no /proc). */
uint32_t sys_pid_namespace(void);

/* A descriptor for the process, whoever its parent is; -ESRCH if it is gone. */
int sys_process_open(pid_t pid);

/* Kills the process that the descriptor stands for, and no other: 0, -EPERM, -ESRCH. */
int sys_process_kill(int fd);

/* 0 once the process has ended, -ETIMEDOUT at the deadline. */
int sys_process_await_end(int fd, int64_t deadline_ns);

#endif
