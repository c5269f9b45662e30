/* SPDX-License-Identifier: MIT
 *
 * Spare files for the next segments, made in the background, so that a roll need not wait for one.
 *
 * A spare is allocated, or written full of zeros as well. A synced write to blocks that were
 * written before costs the device one write. The first write to blocks that were only allocated
 * changes the file's metadata too, and on a journaling file system costs two to four times as much
 * where writes are small; where they are large, and the zeros are written only just before, those
 * would cost more than they save.
 *
 * Two things make one:
 *
 *   asked for   the store wants one now, of the kind that pays: spare_want(). It is made at once,
 *               and there is at most one.
 *   kept        so many prefilled ones as the log was made for (its spare_bytes). They are made
 *               ahead of need and stay when the flusher ends. While frames are written, the zeros
 *               go out in small pieces with long rests, so that hardly a commit meets one.
 *
 * File names: NUMBER.spare is whole, synced and all zeros, but for a header if a crash has undone
 * the rename that took it away: then its first block tells. *.tmp is anything else.
 *
 * It is only ever a gain of speed: when anything fails, a full disk included, there are no more
 * spares than there were, and after a while, longer each time, another attempt. Whoever needs a
 * segment on a full disk still gets the spares that are there.
 *
 * Knows segment, sys, base. Changes when finished segments are recycled. */
#ifndef STORE_SPARE_H
#define STORE_SPARE_H

#include "segment/segment.h"

#include <stdbool.h>
#include <stdint.h>

/* The suffix of a spare that outlives its flusher. */
#define SPARE_SUFFIX ".spare"

/* No log keeps more. */
enum { SPARES_MAX = 1024 };

/* In ascending order of worth. */
enum spare_kind { SPARE_NONE, SPARE_ALLOCATED, SPARE_PREFILLED };

struct spare;

/* How many are kept of a log that was made with these sizes. */
unsigned spare_count(uint64_t spare_bytes, uint64_t segment_bytes);

/* For segments of `bytes`, `kept` of them ahead of need. Starts no thread yet. NULL: no memory. */
struct spare *spare_open(int segments_fd, uint64_t bytes, unsigned kept);

/* Takes over a file that an earlier flusher has left, if it is one to keep; true if so. Before
 * spare_start(). */
bool spare_adopt(struct spare *spare, const char *name);

/* From now on files are written as `sync` says, and those to keep are made. */
void spare_start(struct spare *spare, enum segment_sync sync);

/* Asks for one; cheap to repeat, never waits. One that is worth less than that is replaced. */
void spare_want(struct spare *spare, enum spare_kind kind);

/* A frame is being written: the device has better to do than to take zeros. Never waits. */
void spare_note_frame(struct spare *spare);

/* The best of what is there, whole and synced. */
enum spare_kind spare_ready(struct spare *spare);

/* Gives the best one the name `name`; from then on it is the caller's, and the next one may be
 * asked for. SPARE_NONE if there was none. */
enum spare_kind spare_take(struct spare *spare, const char *name);

/* Ends the thread; leaves the files that are to be kept and removes others. NULL does nothing. */
void spare_close(struct spare *spare);

#endif
