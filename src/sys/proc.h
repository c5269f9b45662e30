/* SPDX-License-Identifier: MIT
 *
 * Processes as /proc shows them: to find one by what it is called in its own PID namespace, and to
 * see what it has mapped.
 *
 * A process is looked at through its directory in /proc, which stays that process's: once it is
 * gone every look fails, whoever gets its pid.
 *
 * Knows sys/file.h, sys/listing.h. Changes when somebody needs to see more of a process. */
#ifndef SYS_PROC_H
#define SYS_PROC_H

#include <stdint.h>
#include <sys/types.h>

struct proc_process {
    pid_t pid;     /* in the caller's PID namespace */
    int directory; /* closed by proc_each() */
};

/* Calls `visit` for every process that /proc shows, in no order, until one call returns non-zero;
 * returns that, 0, or a negative errno. -ENOENT: there is no /proc that shows the caller's own PID
 * namespace, so that a number found there would mean another process here. */
int proc_each(int (*visit)(void *context, const struct proc_process *process), void *context);

/* Its pid in the innermost PID namespace, its own; 0 if it is gone; -EACCES. */
pid_t proc_inner_pid(const struct proc_process *process);

/* The number of its PID namespace; 0 if it is gone; -EACCES, as only those may see it who might
 * also trace it. */
int64_t proc_pid_namespace(const struct proc_process *process);

/* 1 if the process has the first byte of the file `device`, `inode` mapped at `address`, shared and
 * to be written; 0 if it has not, or is gone; -EACCES. */
int proc_maps(const struct proc_process *process, uint64_t address, uint64_t device,
              uint64_t inode);

#endif
