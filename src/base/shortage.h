/* SPDX-License-Identifier: MIT
 *
 * What a process may run short of for a while: room on the disk, a quota, a limit, memory.
 *
 * Where that is why a call has failed, it may succeed later by itself: who can wait, waits and
 * tries again, and says meanwhile what it waits for. A device that has failed is another matter.
 *
 * Knows nobody. */
#ifndef BASE_SHORTAGE_H
#define BASE_SHORTAGE_H

#include <stdbool.h>

/* Of a negative errno. */
bool is_shortage(int error);

/* What whoever looks after the flusher can do about this one, `error` > 0; "" if it is none. */
const char *shortage_advice(int error);

#endif
