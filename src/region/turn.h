/* SPDX-License-Identifier: MIT
 *
 * Whose turn it is: which of several rings a log goes on with. Containers that share a log's
 * directory and not /dev/shm may serve it by turns, each through a ring of its own, and a ring may
 * outlive its turn: its flusher was killed, or the container paused. What it holds that is not
 * durable was appended at LSNs that the next one's records have now. To serve it again would write
 * its records over those.
 *
 * Each ring has a random id, and LOG/lock names one ring by it: the one whose turn it is. A ring
 * may be served, and attached to, if and only if no other one is (region/server.h) and
 *
 *   @1  LOG/lock names it: no other one was served since, so what is on disk is of this one. (The
 *       disk may be ahead of the ring's durable LSN: a flusher may die between the sync and its
 *       announcement.) Or
 *   @2  the log on disk ends at its durable LSN: there is nothing that it could write over. Then
 *       LOG/lock names it from now on, and thereby no other.
 *
 * So a ring that has missed a turn in which nothing was written goes on as well, and so does one
 * whose LOG/lock was lost. Whoever is killed between making a ring and naming it leaves @2.
 *
 * LOG/lock is not synced. What counts is what stands in the kernel's memory: a power cut takes
 * every ring along, and a new one fulfils @2.
 *
 * Knows layout, store, base. */
#ifndef REGION_TURN_H
#define REGION_TURN_H

#include "store/directory.h"

#include <stdbool.h>

/* Takes the turn for the ring with this state: 0; or -ESTALE, without a sentence, if the log has
 * gone on without it. Call with LOCK_RING, while no ring is served but perhaps this one. */
int turn_take(const struct directory *directory, int state_fd);

/* Whether the log has gone on without this ring, or is about to: for viewers, which take no turn.
 * False if that cannot be told. */
bool turn_is_over(const struct directory *directory, int state_fd);

#endif
