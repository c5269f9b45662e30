/* SPDX-License-Identifier: MIT
 *
 * An attached ring: what a producer or the flusher works on.
 *
 * Attaching and removing happen under LOCK_RING of the log's lock file, so that a ring is never
 * removed under somebody who has just found it. A producer keeps no descriptor open.
 *
 * Knows ring, layout, shm, attachment, guard, store (where the log ends), sys, base. */
#ifndef REGION_REGION_H
#define REGION_REGION_H

#include "region/guard.h"
#include "region/layout.h"
#include "ring/ring.h"
#include "store/directory.h"

#include <stdbool.h>
#include <stddef.h>

struct region {
    struct ring ring;
    struct ring_control *control;
    const struct flusher_state *state;
    size_t mapped_bytes;
    struct guard *guard; /* NULL for the flusher, which ends when its ring is truncated */
    uint64_t attachment; /* this one's number; 0 for the flusher */
    uint32_t entry;      /* its entry in the table */
    uint64_t inode;      /* of the ring's object */
    char name[SHM_NAME_BYTES];
};

/* Attaches a producer, making the ring if there is none. */
int region_attach(const struct directory *directory, uint64_t commit_interval_ns,
                  struct region *region);

/* Lets go of it; its open reservations become fillers. True if no flusher is left that would remove
 * the ring: region_remove_unserved() is the caller's to call. */
bool region_detach(struct region *region);

/* Removes a ring that nobody needs: no flusher runs, nobody is attached, and all in it is
 * durable. */
void region_remove_unserved(const struct directory *directory);

/* Whether it was truncated, and this process has come upon that. */
static inline bool region_is_lost(const struct region *region)
{
    return atomic_load(&region->state->status) == FLUSHER_LOST;
}

/* -EIO and the sentence for that. */
int region_fail_lost(const char *log_path);

/* -EIO, with its sentence, if the ring that this process is attached to bears its name no more:
 * somebody has removed it by hand. */
int region_check_named(const struct directory *directory, const struct region *region);

/* Maps an existing ring read-only, without attaching: -ENOENT if there is none, or only one that
 * the log has gone on without. `*ring_fd` is to
 * ask about locks with. */
int region_look(const struct directory *directory, struct region *region, int *ring_fd);
void region_look_away(struct region *region, int ring_fd);

/* The flusher's side: the same mapping without a number, the state writable, and the ring's
 * descriptor to ask about locks with. Makes the ring if there is none. */
struct region_flusher {
    struct region region;
    struct flusher_state *state;
    int ring_fd;
};
int region_attach_flusher(const struct directory *directory, struct region_flusher *flusher);
void region_detach_flusher(struct region_flusher *flusher);

/* Before that: what it locked to be known as the one that serves this ring. One that ends with
 * LOCK_RING uses server_release() itself. */
void region_release_flusher(const struct directory *directory, struct region_flusher *flusher);

/* Whether a flusher serves this ring, as far as the ring itself tells: touches nothing in the log's
 * directory, which may lie on a device that hangs. False also where that cannot be told, and just
 * before one begins to serve. */
bool region_is_served(const struct region *region);

/* For who finds that a flusher runs: -EBUSY if it serves a ring in another /dev/shm. */
int region_check_served(const struct directory *directory);

/* Call with LOCK_RING, when no flusher serves it any more: removes the ring if nobody is attached
 * and all in it is durable, and tells those who view it; of one that bears its name no more they
 * are told in any case. True if they were. */
bool region_remove_if_idle(const struct directory *directory, struct flusher_state *state,
                           const struct region *region, int ring_fd);

/* Whether the ring still bears its name, so that others find it. */
bool region_is_named(int ring_fd);

/* Wakes the flusher if it sleeps, whatever it waits for. */
void region_wake_flusher(struct ring_control *control);

/* For who is about to wait. Wakes it if it gathers at its leisure, or sleeps although something may
 * be in the ring: a reservation whose owner died before anybody finished anything, or a record
 * whose owner died after it had cleared `awaited` and before it rang. */
void region_ask_flusher(const struct region *region);

#endif
