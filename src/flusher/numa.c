/* SPDX-License-Identifier: MIT
 * See numa.h. */
#include "flusher/numa.h"

#include "base/error.h"
#include "flusher/flusher.h"

#include <errno.h>
#include <numa.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int numa_node_parse(const char *text, int *node)
{
    char *end;
    if (strcmp(text, "auto") == 0) {
        *node = NUMA_NODE_AUTO;
        return 0;
    }
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != 0 || value < 0 || value > 4095)
        return fail(EINVAL, "--numa-node takes a node's number or auto, not \"%s\"", text);
    *node = (int)value;
    return 0;
}

/* The node of the device that the log lies on, as the kernel shows it; -1 if it has none. A
 * partition's device is its parent's. */
static int device_node(int log_fd)
{
    static const char *const of_parent[] = {"", "../"};
    struct stat status;
    int node = -1;
    if (fstat(log_fd, &status) < 0)
        return -1;
    for (int i = 0; i < 2 && node < 0; i++) {
        char path[128];
        snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%sdevice/numa_node", major(status.st_dev),
                 minor(status.st_dev), of_parent[i]);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            continue;
        if (fscanf(file, "%d", &node) != 1)
            node = -1;
        fclose(file);
    }
    return node;
}

static int choose_node(int node, int log_fd)
{
    if (node != NUMA_NODE_AUTO)
        return node;
    int of_device = device_node(log_fd);
    if (of_device >= 0)
        return of_device;
    int of_cpu = numa_node_of_cpu(sched_getcpu());
    return of_cpu >= 0 ? of_cpu : 0;
}

int numa_node_bind(int node, int log_fd, void *memory, size_t bytes)
{
    if (node == NUMA_NODE_ANY)
        return 0;
    if (numa_available() < 0) {
        journal("--numa-node: this kernel has no NUMA support; nothing to place");
        return 0;
    }
    int chosen = choose_node(node, log_fd);
    if (chosen > numa_max_node() || !numa_bitmask_isbitset(numa_all_nodes_ptr, (unsigned)chosen))
        return fail(EINVAL, "--numa-node %d: this machine has nodes 0 to %d", chosen,
                    numa_max_node());
    if (numa_num_configured_nodes() == 1) {
        journal("--numa-node: this machine has one node, %d; nothing to place", chosen);
        return 0;
    }
    numa_set_bind_policy(1);
    numa_tonode_memory(memory, bytes, chosen);
    if (numa_run_on_node(chosen) < 0)
        return fail_errno(errno, "--numa-node %d: the thread cannot be placed", chosen);
    journal("ring and thread are on NUMA node %d", chosen);
    return 0;
}
