/* SPDX-License-Identifier: MIT
 * See states.h. */
#include "states.h"

#include "draw.h"

#include <stdlib.h>

struct window window_at(const struct tape *tape, uint64_t begin)
{
    struct window window = {begin, begin};
    while (window.end < tape->count && tape->events[window.end].kind != EVENT_FLUSH)
        window.end++;
    return window;
}

void promise_raise(struct promise *promise, const struct tape *tape, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin; i < end; i++) {
        const struct event *event = &tape->events[i];
        if (event->kind == EVENT_CREATED)
            promise->created = true;
        if (event->kind == EVENT_DURABLE && event->place > promise->durable_lsn)
            promise->durable_lsn = event->place;
    }
}

void states_apply(struct device *device, uint64_t begin, uint64_t end)
{
    const struct tape *tape = device->tape;
    for (uint64_t i = begin; i < end; i++) {
        const struct event *event = &tape->events[i];
        if (event->kind == EVENT_WRITE)
            device_write(device, event->place, tape_data(tape, event), event->bytes);
    }
}

/* ---- Choosing ---- */

/* How much of what was not flushed gets through. */
enum mode { MODE_NONE, MODE_ALL, MODE_BUT_ONE, MODE_PREFIX, MODE_WRITES, MODE_SECTORS, MODES };

struct choice {
    struct device *device;
    struct whole whole;
    enum mode mode;
    uint64_t *seed;
    uint64_t identity; /* of what was put onto the device so far */
};

static void put(struct choice *choice, const struct event *event, uint64_t from, uint64_t bytes)
{
    const char *data = tape_data(choice->device->tape, event);
    device_write(choice->device, event->place + from, data + from, bytes);
    uint64_t mixed = choice->identity ^ (event->data + from);
    choice->identity = draw(&mixed);
}

static bool must_be_whole(const struct choice *choice, const struct event *event)
{
    return event->place < choice->whole.end && event->place + event->bytes > choice->whole.begin;
}

/* Of a write that was under way: some of its sectors; the first ones or any. */
static void put_torn(struct choice *choice, const struct event *event)
{
    uint64_t sectors = event->bytes / SECTOR_BYTES;
    uint64_t drawn = draw(choice->seed);
    if (must_be_whole(choice, event)) {
        if (drawn % 2 == 0)
            put(choice, event, 0, event->bytes);
    } else if (drawn % 4 == 0) {
        put(choice, event, 0, drawn / 4 % (sectors + 1) * SECTOR_BYTES);
    } else {
        for (uint64_t i = 0; i < sectors; i++)
            if (draw(choice->seed) % 2 == 0)
                put(choice, event, i * SECTOR_BYTES, SECTOR_BYTES);
    }
}

static void put_some(struct choice *choice, const struct event **writes, uint64_t count)
{
    uint64_t drawn = draw(choice->seed);
    uint64_t special = count > 0 ? drawn % count : 0;
    for (uint64_t i = 0; i < count; i++) {
        bool all = choice->mode == MODE_ALL || (choice->mode == MODE_PREFIX && i < special) ||
                   (choice->mode == MODE_BUT_ONE && i != special) ||
                   (choice->mode == MODE_WRITES && draw(choice->seed) % 2 == 0);
        bool torn = choice->mode == MODE_SECTORS ||
                    (i == special && (choice->mode == MODE_PREFIX || choice->mode == MODE_BUT_ONE));
        if (all)
            put(choice, writes[i], 0, writes[i]->bytes);
        else if (torn)
            put_torn(choice, writes[i]);
    }
}

/* So that an older write to the same place may be the one that stays. */
static void shuffle(const struct event **writes, uint64_t count, uint64_t *seed)
{
    for (uint64_t i = count; i > 1; i--) {
        uint64_t other = draw(seed) % i;
        const struct event *moved = writes[i - 1];
        writes[i - 1] = writes[other];
        writes[other] = moved;
    }
}

uint64_t states_choose(struct device *device, struct window window, struct whole whole,
                       uint64_t *seed, struct promise *promise)
{
    const struct tape *tape = device->tape;
    uint64_t length = window.end - window.begin, count = 0;
    /* Just before the flush most is at stake. */
    uint64_t cut = draw(seed) % 2 == 0 ? length : draw(seed) % (length + 1);
    const struct event **writes = calloc(cut + 1, sizeof *writes);
    if (writes == NULL)
        abort();
    for (uint64_t i = 0; i < cut; i++)
        if (tape->events[window.begin + i].kind == EVENT_WRITE)
            writes[count++] = &tape->events[window.begin + i];
    struct choice choice = {device, whole, (enum mode)(draw(seed) % MODES), seed, cut};
    if (choice.mode >= MODE_WRITES && draw(seed) % 2 == 0)
        shuffle(writes, count, seed);
    put_some(&choice, writes, count);
    promise_raise(promise, tape, window.begin, window.begin + cut);
    free(writes);
    return choice.identity;
}
