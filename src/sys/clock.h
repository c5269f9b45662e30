/* SPDX-License-Identifier: MIT
 *
 * Time, and deadlines. Knows nobody. */
#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

/* No deadline: later than any clock. */
#define DEADLINE_NEVER INT64_MAX

static inline int64_t clock_read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NS_PER_S + now.tv_nsec;
}

static inline int64_t clock_monotonic_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

static inline int64_t clock_real_ns(void)
{
    return clock_read_ns(CLOCK_REALTIME);
}

static inline void clock_sleep_ns(int64_t ns)
{
    struct timespec time = {ns / NS_PER_S, ns % NS_PER_S};
    nanosleep(&time, NULL);
}

/* From a public time-out: -1 never, else that many nanoseconds from now, without overflow. */
static inline int64_t deadline_from_timeout(int64_t timeout_ns)
{
    if (timeout_ns < 0)
        return DEADLINE_NEVER;
    int64_t now = clock_monotonic_ns();
    return timeout_ns > DEADLINE_NEVER - now ? DEADLINE_NEVER : now + timeout_ns;
}

#endif
