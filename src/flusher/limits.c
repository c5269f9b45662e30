/* SPDX-License-Identifier: MIT
 *
 * A flusher that an opener has started serves all processes of the log. The limits that the opener
 * lives under were set for it alone, so each soft one that could hold up or end the flusher is
 * raised as far as the hard one allows. What the hard one forbids is forbidden.
 *
 * Knows nobody. */
#include "flusher/flusher.h"

#include <sys/resource.h>

void limits_raise(void)
{
    static const int resources[] = {RLIMIT_FSIZE, RLIMIT_CPU,    RLIMIT_AS,
                                    RLIMIT_DATA,  RLIMIT_NOFILE, RLIMIT_NPROC};
    struct rlimit limit;
    for (unsigned i = 0; i < sizeof resources / sizeof *resources; i++) {
        if (getrlimit((__rlimit_resource_t)resources[i], &limit) < 0)
            continue;
        limit.rlim_cur = limit.rlim_max;
        (void)!setrlimit((__rlimit_resource_t)resources[i], &limit);
    }
}
