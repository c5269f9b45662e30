/* SPDX-License-Identifier: MIT
 *
 * In place of src/sys/thread.h, for the checker: here nobody is interrupted or cancelled. Knows
 * nobody. */
#ifndef WEAK_SYS_THREAD_H
#define WEAK_SYS_THREAD_H

#include <signal.h>

#define NOT_CANCELLED   ((void)0)
#define NOT_INTERRUPTED ((void)0)

#endif
