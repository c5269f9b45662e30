/* SPDX-License-Identifier: MIT
 * See futex.h. FUTEX_WAIT_BITSET is the form that takes an absolute time. */
#include "sys/futex.h"

#include "sys/clock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

int sys_futex_wait(const _Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    struct timespec deadline = {deadline_ns / NS_PER_S, deadline_ns % NS_PER_S};
    long result =
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
                deadline_ns == DEADLINE_NEVER ? NULL : &deadline, NULL, FUTEX_BITSET_MATCH_ANY);
    return result < 0 ? -errno : 0;
}

void sys_futex_wake(const _Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
