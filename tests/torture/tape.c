/* SPDX-License-Identifier: MIT
 * See tape.h. Memory is only promised: pages come into being as they are written. */
#include "tape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EVENTS_MAX  (UINT64_C(1) << 20)
#define ARENA_BYTES (UINT64_C(4) << 30)

void *tape_share(uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("torture: no memory to share");
        exit(1);
    }
    return memory;
}

struct tape *tape_new(void)
{
    struct tape *tape = tape_share(sizeof *tape);
    tape->events = tape_share(EVENTS_MAX * sizeof *tape->events);
    tape->arena = tape_share(ARENA_BYTES);
    return tape;
}

void tape_rewind(struct tape *tape, uint64_t count, uint64_t used)
{
    for (uint64_t i = count; i < tape->count; i++)
        tape->events[i].kind = EVENT_NONE;
    tape->count = count;
    tape->used = used;
}

void tape_note(struct tape *tape, enum event_kind kind, uint64_t place, const void *data,
               uint32_t bytes)
{
    if (!atomic_load(&tape->running))
        return;
    uint64_t at = atomic_fetch_add(&tape->used, bytes);
    uint64_t number = atomic_fetch_add(&tape->count, 1);
    if (number >= EVENTS_MAX || at + bytes > ARENA_BYTES) {
        fprintf(stderr, "torture: the tape is full\n");
        abort();
    }
    struct event *event = &tape->events[number];
    memcpy(tape->arena + at, data, bytes);
    event->place = place;
    event->bytes = bytes;
    event->data = at;
    atomic_store(&event->kind, kind);
}
