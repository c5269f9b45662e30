/* SPDX-License-Identifier: MIT
 *
 * Which process owns an attachment, so surely that it may be killed.
 *
 * An attachment leaves a claim in the ring: a pid, the number of the PID namespace in which that is
 * the process's own, and the address at which it has mapped the ring. All who write the ring could
 * have written it. So a process is the owner if and only if
 *
 *   - the attachment's lock is held: an address space with this attachment exists;
 *   - no other attachment that lives makes the same claim;
 *   - the process's own pid and namespace are those of the claim;
 *   - the kernel shows this ring's object mapped in it, just there, shared and writable: whoever
 *     has got the pid of a process that is gone has not;
 *   - it is the only such process that can be seen; and
 *   - it is neither the flusher nor the caller.
 *
 * What is left is a process that overwrites another's claim in the ring with a third one's, which
 * has the ring mapped too, and that one's own. Then one of those that trust each other dies for it,
 * and nobody else.
 *
 * REJECTED. A pid alone, or with the start time: means nothing in another namespace. A pidfd that
 * each producer hands over: the flusher would have to keep one for each, and to be there when they
 * attach.
 *
 * Knows region.h, attachment.h, sys, base. Changes with what an attachment writes. */
#ifndef REGION_OWNER_H
#define REGION_OWNER_H

#include "region/region.h"

#include <stdint.h>
#include <sys/types.h>

/* Finds the owner of attachment `id`: its pid in the caller's PID namespace, and a pidfd of it, to
 * be closed. -ESRCH: it cannot be seen from here, or not be told from others, or is none that may
 * be killed; -EACCES: one that could be it may not be looked at; -EDEADLK: the caller itself;
 * -ENOENT: no /proc; -EBADMSG: the claim is another's. With a sentence. */
int owner_find(const struct region *region, int ring_fd, uint64_t id, pid_t *pid, int *process);

/* The owner's pid in the caller's PID namespace, as far as it can be told; -1 if not. To name it to
 * people, not to kill it. */
pid_t owner_pid(const struct region *region, int ring_fd, uint64_t id);

#endif
