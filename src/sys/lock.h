/* SPDX-License-Identifier: MIT
 *
 * Advisory locks of the open-file kind (F_OFD_*) on single bytes.
 *
 * Such a lock belongs to the open file description and ends with its last reference. A memory
 * mapping is such a reference: a lock taken through a descriptor that is then mapped and closed
 * lives exactly as long as the mapping. region/ builds its proof of death on this.
 *
 * Knows base. */
#ifndef SYS_LOCK_H
#define SYS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/* 0, or -EAGAIN if somebody else has it. */
int sys_lock_try(int fd, uint64_t byte);
/* Waits for it. */
int sys_lock_wait(int fd, uint64_t byte);
int sys_unlock(int fd, uint64_t byte);
/* 1 if another open file description holds a lock in [first, first + count), 0 if none does; count
 * 0 means to the end. */
int sys_lock_held(int fd, uint64_t first, uint64_t count);

#endif
