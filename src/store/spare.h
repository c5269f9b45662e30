/* SPDX-License-Identifier: MIT
 *
 * A spare file for the next segment, made in the background, so that a roll need not wait for one.
 *
 * It is allocated, or written full of zeros as well. A synced write to blocks that were written
 * before costs the device one write. The first write to blocks that were only allocated changes
 * the file's metadata too, and on a journaling file system costs two to four times as much where
 * writes are small; where they are large, the zeros would cost more than they save.
 *
 * It is only ever a gain of speed: when anything fails, a full disk included, there is no spare,
 * and after a while, longer each time, another attempt.
 *
 * Knows segment, sys, base. Changes when finished segments are recycled. */
#ifndef STORE_SPARE_H
#define STORE_SPARE_H

#include "segment/segment.h"

#include <stdbool.h>
#include <stdint.h>

/* Its file name in the directory. */
#define SPARE_NAME "next.spare"

/* In ascending order of worth. */
enum spare_kind { SPARE_NONE, SPARE_ALLOCATED, SPARE_PREFILLED };

struct spare;

/* For segments of `bytes`. Starts no thread yet. NULL: no memory. */
struct spare *spare_open(int segments_fd, uint64_t bytes, enum segment_sync sync);

/* Asks for one; cheap to repeat, never waits. One that is worth less than that is replaced. */
void spare_want(struct spare *spare, enum spare_kind kind);

/* What is there, whole and synced. */
enum spare_kind spare_ready(struct spare *spare);

/* Gives the file the name `name`; from then on it is the caller's, and the next one may be asked
 * for. SPARE_NONE if there was none. */
enum spare_kind spare_take(struct spare *spare, const char *name);

/* Ends the thread and removes the file. NULL does nothing. */
void spare_close(struct spare *spare);

#endif
