/* SPDX-License-Identifier: MIT
 *
 * What a device may hold after its power failed at some place of a tape:
 *
 *   - all that was written before the last flush that had ended by then;
 *   - of what was written since, any part: whole writes or single sectors, in any order.
 *
 * The same seed chooses the same states.
 *
 * Knows tape.h, device.h. Changes when devices keep other promises. */
#ifndef TORTURE_STATES_H
#define TORTURE_STATES_H

#include "device.h"
#include "tape.h"

#include <stdbool.h>
#include <stdint.h>

/* The events between two flushes, and what had been acknowledged. */
struct window {
    uint64_t begin, end; /* events; the flush itself, if there is one, stands at `end` */
};

/* What was promised before the power failed. */
struct promise {
    bool created;
    uint64_t durable_lsn;
};

/* The window that begins with event `begin`. */
struct window window_at(const struct tape *tape, uint64_t begin);

/* Raises the promise by the events from `begin` to before `end`. */
void promise_raise(struct promise *promise, const struct tape *tape, uint64_t begin, uint64_t end);

/* Puts all that was written in events from `begin` to before `end` onto the device. */
void states_apply(struct device *device, uint64_t begin, uint64_t end);

/* What a file system writes in one piece and takes to arrive so: its superblock. */
struct whole {
    uint64_t begin, end;
};

/* Fails the power somewhere in the window: puts a part of it onto the device, raises *promise by
 * what came before. Returns a number that tells the state from others of this window. */
uint64_t states_choose(struct device *device, struct window window, struct whole whole,
                       uint64_t *seed, struct promise *promise);

#endif
