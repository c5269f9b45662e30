/* SPDX-License-Identifier: MIT
 *
 * A block device whose every write and flush is noted: a loop device over a file that a FUSE server
 * of ours keeps in memory.
 *
 * The memory is shared with the caller, who may change it while no file system is mounted: put it
 * back to how it was, or leave out what a power cut would have lost. It remembers what it was
 * before, in layers.
 *
 * Needs root, /dev/fuse and a free loop device. All of it goes with the process, however that
 * ends: the mounts are in a namespace of their own and the loop device clears itself.
 *
 * Knows tape.h. */
#ifndef TORTURE_DEVICE_H
#define TORTURE_DEVICE_H

#include "tape.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SECTOR_BYTES = 512, BLOCK_BYTES = 4096, LAYERS = 3 };

/* What blocks held before they were first changed. In shared memory: the server saves too. */
struct layer {
    uint32_t count;
    uint8_t *saved;   /* for each block of the device, whether it is in `blocks` */
    uint32_t *blocks; /* their numbers */
    char *before;     /* their bytes, in the same order */
};

struct device {
    uint64_t bytes;
    char *image;
    struct tape *tape;
    _Atomic uint32_t layers; /* how many are in use */
    struct layer layer[LAYERS];
    char directory[64]; /* of the FUSE mount */
    char node[32];      /* /dev/loopN */
    int loop_fd;
    pid_t server;
};

/* NULL, with *reason telling what this machine lacks. */
struct device *device_open(uint64_t bytes, struct tape *tape, const char **reason);
void device_close(struct device *device);

/* Writes to the memory and, in the innermost layer, saves what was there. */
void device_write(struct device *device, uint64_t place, const void *data, uint64_t bytes);

/* From here on changes are remembered, until device_restore() takes them back. They nest. */
void device_layer(struct device *device);
void device_restore(struct device *device);

/* Makes the kernel forget what it has read of the device. */
void device_forget(struct device *device);

#endif
