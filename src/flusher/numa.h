/* SPDX-License-Identifier: MIT
 *
 * Placing the ring's memory and the flusher's thread on one NUMA node, by libnuma. */
#ifndef FLUSHER_NUMA_H
#define FLUSHER_NUMA_H

#include <stddef.h>

/* What --numa-node asks for. */
#define NUMA_NODE_ANY  (-1) /* not given: leave it to the kernel */
#define NUMA_NODE_AUTO (-2) /* the node of the log's device, or of this CPU if that has none */

/* Reads "auto" or a number; -EINVAL. */
int numa_node_parse(const char *text, int *node);

/* Binds the memory and the calling thread, and says what it did. -EINVAL if there is no such
 * node. */
int numa_node_bind(int node, int log_fd, void *memory, size_t bytes);

#endif
