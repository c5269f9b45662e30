/* SPDX-License-Identifier: MIT
 *
 * What happened to a device, in order, and who was told what in between.
 *
 * The device's server notes each write and each flush before it answers; a producer notes what was
 * acknowledged to it after the call returned. So whatever stands before an acknowledgement on the
 * tape had happened when it was given. All processes that are forked after tape_new() share it.
 *
 * Knows nothing. Changes when a device can do something else. */
#ifndef TORTURE_TAPE_H
#define TORTURE_TAPE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum event_kind {
    EVENT_NONE = 0, /* claimed, but not written yet */
    EVENT_WRITE,
    EVENT_FLUSH,   /* all writes before it are on the device */
    EVENT_CREATED, /* a call that makes the log has returned */
    EVENT_DURABLE, /* all before the LSN `place` was said to be durable */
};

struct event {
    _Atomic uint32_t kind;
    uint32_t bytes; /* of a write */
    uint64_t place; /* of a write: in the device */
    uint64_t data;  /* of a write: in the arena */
};

struct tape {
    _Atomic bool running; /* else nothing is noted */
    _Atomic uint64_t count, used;
    struct event *events;
    char *arena;
};

/* Memory that processes forked from now on share. Ends the program if there is none. */
void *tape_share(uint64_t bytes);

/* Ends the program if there is no memory. */
struct tape *tape_new(void);

/* Forgets what was noted from `count` and `used` on. Nobody may be writing. */
void tape_rewind(struct tape *tape, uint64_t count, uint64_t used);

void tape_note(struct tape *tape, enum event_kind kind, uint64_t place, const void *data,
               uint32_t bytes);

static inline const void *tape_data(const struct tape *tape, const struct event *event)
{
    return tape->arena + event->data;
}

#endif
