/* SPDX-License-Identifier: MIT
 *
 * SIGINT and SIGTERM as a wish to end in good order. The second one ends the program at once.
 *
 * Knows nobody. */
#ifndef DURALOG_INTERRUPT_H
#define DURALOG_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

/* How long a call of the library that signals do not end may wait before the program looks
 * again. */
#define INTERRUPT_SLICE_NS INT64_C(100000000)

/* From now on; signals that the program was started with as ignored stay so. */
void interrupt_catch(void);

bool interrupt_seen(void);

/* Waits until `fd` can be read: 0, or -EINTR once a signal has come, however early. */
int interrupt_wait_readable(int fd);

#endif
