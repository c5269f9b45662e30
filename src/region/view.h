/* SPDX-License-Identifier: MIT
 *
 * A look at a log's ring, for those who do not append: readers, status, stop.
 *
 * Maps the flusher's state, which nobody but the flusher can write, without attaching: a view keeps
 * no flusher and no ring alive. A ring may be removed while it is viewed, or truncated;
 * region_view_gone() tells.
 *
 * Knows ring, guard, store/directory.h, format, sys, base. */
#ifndef REGION_VIEW_H
#define REGION_VIEW_H

#include "region/guard.h"
#include "store/directory.h"

#include <stdbool.h>
#include <stdint.h>

struct region_view {
    const struct flusher_state *state; /* NULL: not open */
    struct ring_control *control;      /* NULL: no permission to write it */
    const struct directory *directory; /* the log's, which stays the caller's */
    uint64_t inode;                    /* of the state's object */
    bool lost;                         /* found by region_view_wait(): see there */
    struct guard *guard;               /* of both mappings */
};

/* -ENOENT where the log has no ring now, or only one that it has gone on without. */
int region_view_open(const struct directory *directory, struct region_view *view);
void region_view_close(struct region_view *view);

uint64_t region_view_durable(const struct region_view *view);

/* The ring was removed, or truncated: what was durable stands on disk, and a new ring may exist. */
bool region_view_gone(const struct region_view *view);

/* Waits until the durable LSN is above `lsn` or the view is gone: 0; -ETIMEDOUT. It is also gone if
 * somebody has removed the ring by hand and no flusher is left that would say so. */
int region_view_wait(struct region_view *view, uint64_t lsn, int64_t deadline_ns);

#endif
