/* SPDX-License-Identifier: MIT
 *
 * What stands in a log's two shared-memory objects.
 *
 *   NAME.ring    ring_control, headers, bytes   producers and the flusher read and write it
 *   NAME.state   flusher_state                  the flusher writes it; producers map it read-only
 *
 * NAME is /duralog-UUID-DEVICE-INODE in hex: a copy of a log's directory is another log.
 *
 * Every field names its writer. Both objects live as long as the ring and are never shared between
 * versions: LAYOUT_VERSION is part of the magic. Knows ring, format. */
#ifndef REGION_LAYOUT_H
#define REGION_LAYOUT_H

#include "format/format.h"
#include "ring/ring.h"

#include <stdatomic.h>
#include <stdint.h>

#define REGION_MAGIC UINT64_C(0x3230474e49524c44) /* "DLRING02": layout version 2 */

#define CACHE_LINE 64

enum {
    ATTACHMENTS_MAX = 4096, /* handles that may be attached at once */
    WAIT_SHARDS = 256,      /* futexes that waiters are spread over, by LSN */
    SHM_NAME_BYTES = 128,   /* an object's name, at most */
};

/* One handle of one process. Writer: that process, once it owns the entry; see
 * region/attachment.h. */
struct attachment {
    _Atomic uint64_t id; /* 0: free. Whether it lives is told by its lock, never by this table */
    _Atomic uint64_t commit_interval_ns;
    /* Who it says it is; believed by nobody without the proof in region/owner.h. */
    _Atomic int32_t pid;            /* in its own PID namespace */
    _Atomic uint32_t pid_namespace; /* that one's number, 0 if it could not know */
    _Atomic uint64_t address;       /* where it has the ring mapped */
};
static_assert(sizeof(struct attachment) == 32, "layout");

/* What `awaited` says besides 0, the flusher is awake. */
enum {
    AWAITED_RECORD = 1, /* LSN | this: a reservation stands open at LSN, and only its end matters */
    AWAITED_ANYTHING = 2, /* it gathers for a while: waiters and a filling ring may wake it */
    AWAITED_STOP = 3,     /* it can do nothing for a while: only a stop may wake it */
    AWAITED_NEXT = 4,     /* the ring was empty: whoever finishes anything or waits wakes it */
};

/* What `stop_requested` says if somebody has asked for a stop: nothing that a stray store
 * leaves. */
#define STOP_REQUESTED UINT32_C(0x53746f70)

/* Whatever stands here may be overwritten by a producer that has gone mad. So nothing of it is
 * believed without need: sizes and offsets follow from the log's meta file, and whether the ring is
 * whole is told by flusher_state. */
struct ring_control {
    struct ring_tail_word tail; /* writer: producers, by CAS */

    _Alignas(CACHE_LINE) _Atomic uint64_t awaited; /* flusher sets, whoever wakes it clears */
    _Atomic uint32_t doorbell;                     /* futex the flusher sleeps on; wakers add one */
    _Atomic uint32_t stop_requested;               /* anybody sets, the flusher reads */

    _Alignas(CACHE_LINE) _Atomic uint64_t
        wanted_lsn;               /* waiters raise: the highest LSN waited for */
    _Atomic uint32_t room_wanted; /* producers set, the flusher clears */

    _Alignas(CACHE_LINE) _Atomic uint64_t next_attachment; /* producers count up; never repeats */
    _Atomic uint32_t attachments_changed;                  /* producers count up */

    _Alignas(CACHE_LINE) _Atomic uint8_t
        shard_wanted[WAIT_SHARDS]; /* waiters set, flusher clears */
    _Alignas(CACHE_LINE) struct attachment attachments[ATTACHMENTS_MAX];
};

enum flusher_status {
    FLUSHER_NONE = 0, /* none has run since the ring was made */
    FLUSHER_RUNNING = 1,
    FLUSHER_STOPPING = 2, /* told to stop: takes nothing new, drains */
    FLUSHER_STOPPED = 3,
    FLUSHER_FROZEN = 4, /* the device failed */
    FLUSHER_LOST = 5,   /* never in shared memory: ring or state was truncated, region/guard.h */
};

struct wait_shard {
    _Alignas(CACHE_LINE) _Atomic uint32_t sequence; /* futex; one more with each wake */
};

/* Writer of all: the flusher; before the first one runs, the creator. */
struct flusher_state {
    _Atomic uint64_t magic; /* stored last: without it an object is an interrupted attempt */
    uint64_t ring_id;       /* random, not 0: see region/turn.h; writer: the creator */

    _Alignas(CACHE_LINE) _Atomic uint64_t head_lsn; /* all below is consumed: its memory is free */
    _Alignas(CACHE_LINE) _Atomic uint64_t durable_lsn;
    _Alignas(CACHE_LINE) _Atomic uint32_t status;
    _Atomic int32_t device_errno;   /* why frozen, or what writing waits for; 0 */
    _Atomic int32_t pid;            /* in the flusher's PID namespace */
    _Atomic uint32_t incarnation;   /* how many flushers this ring has had */
    _Atomic uint32_t asleep;        /* on the doorbell, or just about to be */
    _Atomic uint32_t gone;          /* the ring was removed: nothing will happen here any more */
    _Atomic uint32_t pid_namespace; /* in which `pid` means the flusher, see sys/process.h */
    _Atomic uint64_t fillers_dead, fillers_invalid;
    _Atomic uint64_t open_lsn,
        open_owner; /* the oldest open reservation, while one is waited for: region/held.h */
    _Atomic int64_t open_since_ns; /* CLOCK_MONOTONIC; 0: none */

    _Alignas(CACHE_LINE) _Atomic uint32_t
        room_sequence; /* futex for room; one more with each wake */
    struct wait_shard shards[WAIT_SHARDS];
};

/* Waiters for neighbouring LSNs sleep on neighbouring shards, so a commit wakes those that it
 * serves. The level moves in whole units: an LSN within one is reached with the unit's end. */
static inline uint32_t wait_shard_index(uint64_t lsn)
{
    return (uint32_t)((lsn + FORMAT_UNIT - 1) / FORMAT_UNIT % WAIT_SHARDS);
}

static_assert((int)RING_UNIT == (int)FORMAT_UNIT, "the ring's unit is the LSN's");
static_assert(RECORD_SPAN_MAX == RING_SPAN_MAX, "the ring can hold any record's length");

#endif
