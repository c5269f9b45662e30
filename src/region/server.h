/* SPDX-License-Identifier: MIT
 *
 * Which ring the log's flusher serves. A log has one directory, but may have a ring in each of
 * several /dev/shm, of containers that share the directory and not the memory: then the flusher
 * that holds the log serves one of them, and whoever attached to another one would wait for ever,
 * and later have a flusher write that ring's records over those of the first.
 *
 * The flusher holds two locks: of a byte of the ring's object, and LOCK_SERVING in the directory.
 * It takes the ring's first and lets go of it last; both with LOCK_RING, and if it is killed the
 * kernel lets go of the directory's first, whose descriptor is the older one. So, with LOCK_RING: a
 * ring is served if and only if LOCK_SERVING and its own lock are held, and another one is if and
 * only if LOCK_SERVING is held both before and after this one's is seen to be free.
 *
 * Knows store/directory.h, sys, base. */
#ifndef REGION_SERVER_H
#define REGION_SERVER_H

#include "store/directory.h"

#include <stdbool.h>

/* The flusher's, which holds LOCK_FLUSHER. Call with LOCK_RING. */
int server_claim(const struct directory *directory, int ring_fd);
void server_release(const struct directory *directory, int ring_fd);

/* -EBUSY, with its sentence, if another ring than this one is served; else 0. `ring_fd` negative:
 * there is no ring here. Call with LOCK_RING. */
int server_check(const struct directory *directory, int ring_fd);

/* Whether a flusher holds the ring's own lock. Needs no lock. */
bool server_holds(int ring_fd);

#endif
