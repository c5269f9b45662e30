/* SPDX-License-Identifier: MIT
 *
 * Getting an extent of the ring: at once, or after waiting for room. Knows handle, ring. */
#ifndef PRODUCER_ROOM_H
#define PRODUCER_ROOM_H

#include "producer/handle.h"

/* Reserves `span` bytes: 0 and where they begin. Without room, waits until `timeout_ns` is over:
 * -EAGAIN at once if that is 0, else -ETIMEDOUT; and -EIO, -ESHUTDOWN. */
int room_reserve(shmwal *log, uint64_t span, int64_t timeout_ns, uint64_t *lsn);

/* -EMSGSIZE with a sentence if no ring of this size takes such a record. */
int room_check_length(const shmwal *log, uint64_t length);

/* Commits the caller's extent and wakes the flusher, if that sleeps until just this happens. */
bool room_finish(shmwal *log, uint64_t lsn, uint64_t span, enum ring_state state);

#endif
