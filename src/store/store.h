/* SPDX-License-Identifier: MIT
 *
 * A directory of segments, written by the one flusher.
 *
 * Frames go to the last segment, one behind the other. Several may be in flight at a time, and may
 * land in any order; durable they become in the order in which they were issued. The store decides
 * where they go: it rolls to a new segment when one is full, begins one after an unclean end, takes
 * spare files that its background thread has made, and re-homes frames whose write failed.
 *
 * Knows segment, format, sys, base. Never the ring. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "format/format.h"
#include "store/directory.h"

#include <stdbool.h>
#include <stdint.h>

/* Where the log on disk ends, by recovery's rules (store/recovery.h), with all before it synced:
 * what a new ring begins with. -EBADMSG if damaged, -EIO if it cannot be read. */
int store_find_end(const struct directory *directory, uint64_t *end_lsn);

struct store;

/* Prepares to write from `durable_lsn` on, the ring's. Continues in the last segment if that ended
 * cleanly just there, else begins a new one that cuts off what the old one holds beyond. -EBADMSG
 * if the log is damaged or ends before durable_lsn. A shortage that forbids a new one is met again
 * by the first write. The caller holds LOCK_FLUSHER; `directory` must outlive the store. */
int store_open(const struct directory *directory, uint64_t durable_lsn, struct store **store);

/* The largest payload of a frame that still fits the current segment; 0 if none does. */
uint64_t store_room(const struct store *store);

/* The largest payload of a frame that a segment of its own takes: no frame may be larger. */
uint64_t store_room_max(const struct store *store);

/* How many frames may be in flight. */
enum { STORE_FRAMES = 6 };

/* Writes a frame whose payload, records from `first_lsn` on, stands behind `frame`, and syncs it:
 * on return 0 it is durable. `frame` is aligned to FORMAT_BLOCK and its buffer goes on to
 * frame_file_bytes(payload_bytes); the store sets the header and the padding. Rolls first if it
 * does not fit. Nothing may be in flight. The caller raises the ring's durable LSN before it calls
 * the store again: whoever takes over begins there, and no segment may begin beyond it. A
 * shortage (base/shortage.h): no new segment can be made for now; nothing has happened, call again
 * later. -EIO and others: the write failed, and so did the one attempt in a fresh segment; this
 * store must not be written to any more. */
int store_write(struct store *store, struct frame_header *frame, uint64_t first_lsn,
                uint64_t payload_bytes, uint32_t records);

/* The same, but on return 0 the write has only begun: the frame belongs to the store until
 * store_durable() is at its end. At most STORE_FRAMES may be in flight. If it fails, nothing was
 * begun; while others are in flight, settle those before anything else. */
int store_issue(struct store *store, struct frame_header *frame, uint64_t first_lsn,
                uint64_t payload_bytes, uint32_t records);

/* Waits until the oldest frame in flight is durable; if its write failed, until all have landed
 * and, from that one on, were written to a fresh segment. A shortage: none can be made for now;
 * what could not be written stays in flight, call again later. -EIO and others: as for
 * store_write(). */
int store_settle(struct store *store);

unsigned store_in_flight(const struct store *store);

/* All before it is durable: the end of what store_write() and store_settle() have brought there. */
uint64_t store_durable(const struct store *store);

/* Nothing to write for now, nor in flight: seals what was written last, if it is not sealed
 * yet. */
int store_idle(struct store *store);

/* What the probe chose: "O_DIRECT + RWF_DSYNC" or "write + fdatasync". */
const char *store_sync_method(const struct store *store);

/* Waits for what is in flight, without a promise for it; seals, unless that, or something before,
 * has failed or is not durable; and frees. NULL does nothing. */
int store_close(struct store *store);

#endif
