/* SPDX-License-Identifier: MIT
 *
 * A spare file, filled with zeros in the background, for the next segment.
 *
 * A synced write to blocks that were written before costs the device one write. The first write to
 * blocks that were only allocated changes the file's metadata as well, and on a journaling file
 * system costs two to four times as much. So a thread writes the next segment's blocks ahead, at
 * its leisure.
 *
 * It is only ever a gain of speed: when anything fails, a full disk included, there is no spare.
 *
 * Knows segment, sys, base. Changes when finished segments are recycled. */
#ifndef STORE_SPARE_H
#define STORE_SPARE_H

#include "segment/segment.h"

#include <stdbool.h>
#include <stdint.h>

/* Its file name in the directory. */
#define SPARE_NAME "next.spare"

struct spare;

/* For segments of `bytes`. Starts no thread yet. NULL: no memory. */
struct spare *spare_open(int segments_fd, uint64_t bytes, enum segment_sync sync);

/* Asks for one; cheap to repeat, never waits. Does nothing after a failure. */
void spare_want(struct spare *spare);

/* Whether SPARE_NAME is there, full of zeros and synced. It stays so until spare_taken(). */
bool spare_ready(struct spare *spare);

/* The file has another name now, or is gone; from now on the next one may be asked for. */
void spare_taken(struct spare *spare);

/* Ends the thread and removes the file. NULL does nothing. */
void spare_close(struct spare *spare);

#endif
