/* SPDX-License-Identifier: MIT
 *
 * Asking the scheduler to be let in soon.
 *
 * The flusher and its writers run for a fraction of a millisecond at a time and then wait for the
 * device. Where producers keep every CPU busy, each of these turns would wait for a slice to end,
 * which takes milliseconds, while the device idles. A thread that asks for short slices is let in
 * before those that do not, and gets no larger share for it. Kernels from 6.12 on know this for
 * ordinary threads, and need no privilege; others ignore it or refuse, and nothing is lost.
 *
 * Knows flusher.h. Changes when the C library has a call for it. */
#include "flusher/flusher.h"

#include <linux/sched/types.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLICE_NS = 100 * 1000 }; /* the shortest that the kernel grants */

void ask_for_short_slices(void)
{
    struct sched_attr attributes = {0};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) < 0)
        return;
    attributes.sched_runtime = SLICE_NS;
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}
