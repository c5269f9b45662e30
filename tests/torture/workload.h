/* SPDX-License-Identifier: MIT
 *
 * Processes that append to a log through its real flusher and write down, on a tape, what was
 * acknowledged to them.
 *
 * Knows include/shmwal.h, tape.h, history.h. Changes when the log can be used in another way. */
#ifndef TORTURE_WORKLOAD_H
#define TORTURE_WORKLOAD_H

#include "tape.h"

#include <stdint.h>

struct workload {
    const char *path;
    struct tape *tape;
    uint64_t ring_bytes, segment_bytes, spare_bytes;
    unsigned first_writer, writers; /* processes, and the numbers they go by in the records */
    uint32_t *next;                 /* each writer's next record; raised by what was appended */
    unsigned records;               /* that each appends */
    bool bulk;      /* seldom waits, so that frames are large, and in flight together */
    unsigned kills; /* how often the flusher is killed meanwhile */
    unsigned seed;
};

/* Makes the log if it is not there, appends, and stops the flusher, which takes the ring along.
 * NULL, or what went wrong. */
const char *workload_run(const struct workload *workload);

#endif
