/* SPDX-License-Identifier: MIT
 *
 * The flusher: the one process that writes a log.
 *
 *     gather ──► store_issue ──► store_settle ──► publish     flusher.c is the loop around these
 *        │
 *        └─ nothing: resolve the dead (orphan.c), seal, sleep on the doorbell
 *
 * It trusts no producer: a record is copied once into private memory, validated there, and that
 * copy is written. Knows region, store and all below; nobody knows it. */
#ifndef FLUSHER_FLUSHER_H
#define FLUSHER_FLUSHER_H

#include "region/region.h"
#include "store/directory.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct flusher {
    struct directory directory;
    struct region_flusher region;
    struct store *store;
    bool embedded; /* started by an opener: ends when nobody is attached for a while */

    /* LSNs, in this order: published as durable, in flight, copied into a frame, still in the ring
     *
     *     published ────► issued ────► gathered ────► the ring's end
     *
     * The frames are used in turn. One is free again when the store says that it is durable. */
    uint64_t durable;   /* the same as in the shared state */
    uint64_t room_told; /* where it was when those who wait for room were last woken */
    uint64_t issued;    /* where the frame begins that is being gathered */
    uint64_t gathered;  /* where it ends */
    void *frames_memory;
    uint64_t frames_bytes;
    struct frame_header *frames[STORE_FRAMES]; /* a header, records behind it */
    unsigned turn;                             /* of the frame that is being gathered */
    uint32_t records;                          /* in it */
    bool full;               /* what comes next in the ring does not fit into it */
    uint64_t frame_capacity; /* bytes behind a header: any record fits */

    uint64_t commit_interval_ns; /* of the handles that are attached now */
    uint32_t attachments_seen;   /* when that was computed */
    int64_t last_commit_ns;      /* CLOCK_MONOTONIC */
    int64_t idle_since_ns;       /* since when nobody is attached; 0: somebody is */
    int64_t stopping_since_ns;   /* 0: not told to stop */
    uint64_t span_max;           /* the longest extent that anybody may reserve */
    uint32_t open_looks;         /* how often in a row something unfinished was found */
    uint32_t broken_looks;       /* how often in a row the ring was found damaged */
    bool shut;                   /* the ring, see shut_ring() */
    bool sealed;                 /* store_idle() has had the last word */
};

/* ---- flusher.c: the life of one flusher ---- */

/* Opens everything and takes over from whoever was before: 0, or a negative errno with a sentence;
 * -EBUSY if another flusher serves the log. */
int flusher_open(struct flusher *flusher, const char *path, bool embedded);

/* Serves until told to stop, idle for long (if embedded), or the device has failed and it was told
 * to stop. 0 if all that was committed is durable. */
int flusher_run(struct flusher *flusher);

void flusher_close(struct flusher *flusher);

/* ---- frames.c ---- */

/* A frame is no larger, but for a single extent that is. With STORE_FRAMES of them in flight the
 * device is busy, and the flusher's memory stays small. */
enum { FRAME_BYTES = 2 * 1024 * 1024 };

/* Memory for STORE_FRAMES frames, each with room for the largest record. Only what is used of it
 * counts. */
int frames_allocate(struct flusher *flusher);
void frames_free(struct flusher *flusher);

/* Gives back what frames that are free now have used beyond FRAME_BYTES. */
void frames_trim(struct flusher *flusher);

/* ---- gather.c ---- */

/* Copies finished records into the frame, in order, until there are none, the frame is full or the
 * segment has no more room. Nothing while no frame is free. */
void gather(struct flusher *flusher);

/* ---- publish.c ---- */

/* Makes everything up to `lsn` known as durable, gives its memory back, and wakes whom that
 * serves. */
void publish_durable(struct flusher *flusher, uint64_t lsn);

/* Publishes a status and wakes everybody who waits for anything. */
void publish_status(struct flusher *flusher, enum flusher_status status, int device_errno);

/* ---- orphan.c ---- */

/* If a reservation stands open where the flusher waits, notes it for `status`; if its owner is
 * proven dead, fills it; if what stands there is proven wrong, goes on behind it. True if there is
 * something to gather now. */
bool orphan_resolve(struct flusher *flusher);

/* ---- shut.c ---- */

/* Nothing is gathered or in flight. Takes all the room of the ring, for good. False if something
 * has just come, which is there to be gathered. */
bool shut_ring(struct flusher *flusher);

/* ---- limits.c ---- */

/* Of this process. */
void limits_raise(void);

/* ---- slice.c ---- */

/* For the calling thread and those that it starts. */
void ask_for_short_slices(void);

/* ---- signal.c ---- */

/* SIGTERM and SIGINT ask for a stop and ring the doorbell; a second one ends the process at
 * once. */
void stop_on_signals(struct ring_control *control);

/* ---- journal.c ---- */

/* A line for people on stderr: time, then the sentence. */
__attribute__((format(printf, 1, 2))) void journal(const char *format, ...);

/* True for the 1st, 2nd, 4th, 8th … of a kind: so much of it is worth a line. */
bool journal_worth(uint64_t count);

#endif
