/* SPDX-License-Identifier: MIT
 *
 * The two shared-memory objects themselves: naming, making, mapping, removing.
 *
 * Knows layout, store/directory.h, sys, base. */
#ifndef REGION_SHM_H
#define REGION_SHM_H

#include "region/layout.h"
#include "store/directory.h"

#include <stdbool.h>
#include <stddef.h>

enum shm_object { SHM_RING, SHM_STATE };

/* The object's name, as shm_open() takes it. */
void shm_object_name(const struct directory *directory, enum shm_object object,
                     char name[SHM_NAME_BYTES]);

/* Opens what bears that name: a descriptor, to be closed by sys_fork_close(), or a negative errno
 * without a sentence. */
int shm_open_private(const char *name, bool writing);

/* Opens an existing object and checks its owner: a descriptor, to be closed by sys_fork_close();
 * -ENOENT, -EACCES. */
int shm_object_open(const struct directory *directory, enum shm_object object, bool writing);

/* Which object a descriptor leads to; 0 where that cannot be told. */
uint64_t shm_inode(int fd);

/* Makes both objects of a ring afresh, with the id `id`, empty and beginning at `first_lsn`, all
 * memory allocated: a full /dev/shm is -ENOSPC here, never a SIGBUS later. Removes what an
 * interrupted attempt left. Call with LOCK_RING. */
int shm_create(const struct directory *directory, uint64_t id, uint64_t first_lsn);

/* Removes both names; those who have them mapped keep their memory. Call with LOCK_RING. */
void shm_remove(const struct directory *directory);

/* Maps the ring, its bytes twice in a row, prefaulted if `writing` and not inherited by fork: where
 * its parts lie, and how many bytes to unmap from `*control` on. The descriptor may be closed; a
 * lock taken through it lives as long as the mapping. */
int shm_map_ring(const struct directory *directory, int fd, bool writing,
                 struct ring_control **control, char **headers, char **bytes, size_t *mapped_bytes);

/* Maps the flusher's state, and does not touch it. A child inherits the mapping: a reader works on
 * in it. */
int shm_map_state(const struct directory *directory, int fd, bool writing,
                  struct flusher_state **state);

#endif
