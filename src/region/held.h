/* SPDX-License-Identifier: MIT
 *
 * What holds the flusher up: the reservation that it waits for, noted in its state for whoever asks
 * how long somebody has held one open, and may end a process for it. So the three fields are read
 * as one.
 *
 *   N1  open_lsn, open_owner (release)  →  the same (acquire)   with them it is seen that the
 *                                                               note before was withdrawn
 *   N2  open_since_ns (release)         →  the same (acquire)   with it its LSN and owner are seen
 *
 * Writer: the flusher, one at a time. Knows layout. Changes when more is noted. */
#ifndef REGION_HELD_H
#define REGION_HELD_H

#include "region/layout.h"

#include <stdbool.h>
#include <stdint.h>

struct held {
    uint64_t lsn, owner;
    int64_t since_ns; /* CLOCK_MONOTONIC; never 0, and not the same for two notes */
};

/* Replaces what was noted. */
void held_note(struct flusher_state *state, const struct held *held);

/* Nothing holds it up any more. */
void held_forget(struct flusher_state *state);

/* False if nothing is noted, or something else just now. */
bool held_read(const struct flusher_state *state, struct held *held);

#endif
