/* SPDX-License-Identifier: MIT
 * See futex.h. FUTEX_WAIT_BITSET is the form that takes an absolute time. None of these are
 * "private": most words are shared by processes, and the kernel finds the others too. */
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

/* Refused or unknown: the words that are not waited on are for the caller to look at soon. */
static int wait_for_first(const struct sys_futex_seen *words, int64_t deadline_ns)
{
    int64_t look = clock_monotonic_ns() + FUTEX_LOOK_MS * NS_PER_MS;
    return sys_futex_wait(words->word, words->value, look < deadline_ns ? look : deadline_ns);
}

int sys_futex_wait_any(const struct sys_futex_seen *words, uint32_t count, int64_t deadline_ns)
{
    struct futex_waitv list[FUTEX_ANY_MAX];
    struct timespec deadline = {deadline_ns / NS_PER_S, deadline_ns % NS_PER_S};
    if (count == 1)
        return sys_futex_wait(words->word, words->value, deadline_ns);
    for (uint32_t i = 0; i < count; i++)
        list[i] = (struct futex_waitv){
            .val = words[i].value, .uaddr = (uintptr_t)words[i].word, .flags = FUTEX_32};
    long result = syscall(SYS_futex_waitv, list, count, 0,
                          deadline_ns == DEADLINE_NEVER ? NULL : &deadline, CLOCK_MONOTONIC);
    if (result < 0 && (errno == ENOSYS || errno == EPERM))
        return wait_for_first(words, deadline_ns);
    return result < 0 ? -errno : 0;
}

void sys_futex_wake(const _Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
