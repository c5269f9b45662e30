/* SPDX-License-Identifier: MIT
 *
 * How long a command waits for the flusher. See patience.h.
 *
 * Knows interrupt, include/shmwal.h. */
#include "patience.h"

#include "interrupt.h"

#include <time.h>

#define STANDSTILL_NS INT64_C(30000000000)

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void patience_begin(struct patience *patience, const shmwal *log, int64_t limit_ns)
{
    *patience = (struct patience){
        .log = log, .limited = limit_ns >= 0, .limit_ns = limit_ns, .left_ns = limit_ns};
}

int64_t patience_slice(struct patience *patience)
{
    patience->began_ns = now_ns();
    if (patience->limited && patience->left_ns < INTERRUPT_SLICE_NS)
        return patience->left_ns;
    return INTERRUPT_SLICE_NS;
}

bool patience_over(struct patience *patience, bool timed_out)
{
    int64_t waited_ns = now_ns() - patience->began_ns;
    uint64_t durable_lsn = shmwal_lsn(patience->log, SHMWAL_DURABLE);
    bool moved = !timed_out || durable_lsn != patience->durable_lsn;
    patience->durable_lsn = durable_lsn;
    patience->idle_ns = moved ? 0 : patience->idle_ns + waited_ns;
    patience->left_ns = waited_ns < patience->left_ns ? patience->left_ns - waited_ns : 0;
    if (!timed_out)
        return false;
    return patience->limited ? patience->left_ns == 0 : patience->idle_ns >= STANDSTILL_NS;
}

double patience_seconds(const struct patience *patience)
{
    return (double)(patience->limited ? patience->limit_ns : STANDSTILL_NS) / 1e9;
}
