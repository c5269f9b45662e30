/* SPDX-License-Identifier: MIT
 *
 * How long a command waits for the flusher: as long as --timeout says, in all; without it, until
 * nothing has moved for half a minute. No command waits for ever.
 *
 * Waits are cut into slices, so that a signal is seen between them.
 *
 * Knows interrupt, include/shmwal.h. */
#ifndef DURALOG_PATIENCE_H
#define DURALOG_PATIENCE_H

#include "shmwal.h"

#include <stdbool.h>
#include <stdint.h>

struct patience {
    const shmwal *log;
    bool limited;
    int64_t limit_ns, left_ns; /* of --timeout */
    int64_t began_ns;          /* the current slice */
    int64_t idle_ns;           /* waited since something moved */
    uint64_t durable_lsn;      /* as it was last seen */
};

/* `limit_ns` negative: no --timeout. */
void patience_begin(struct patience *patience, const shmwal *log, int64_t limit_ns);

/* The time-out for the next call that may block. */
int64_t patience_slice(struct patience *patience);

/* After that call: whether it timed out and patience is over. */
bool patience_over(struct patience *patience, bool timed_out);

/* For how long it has waited in vain, in seconds, for a sentence. */
double patience_seconds(const struct patience *patience);

#endif
