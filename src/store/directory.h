/* SPDX-License-Identifier: MIT
 *
 * The log's directory: creating it, opening it, its meta and its lock file.
 *
 *   LOG/meta          identity and sizes (format/format.h); written last: then the log is whole
 *   LOG/lock          bytes of it are locked, see below; the first eight name a ring
 *   LOG/segments/     the records
 *   LOG/cursors/      readers' positions
 *   LOG/flusher.log   what a flusher that nobody watches has to say
 *
 * Knows format, sys, base. */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "format/format.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of LOG/lock, locked through sys/lock.h. */
enum {
    LOCK_FLUSHER = 0, /* held for life by the one flusher */
    LOCK_RING = 1,    /* held while the log or its ring is created, attached to or removed */
    LOCK_START = 2,   /* held while somebody starts a flusher, so that a crowd starts one */
    LOCK_SERVING = 3, /* held by the flusher while it serves a ring, see region/server.h */
};

struct directory {
    int fd, segments_fd, lock_fd;
    uint64_t device, inode; /* of the directory: with the UUID they name the ring */
    char *path;             /* absolute, no symbolic links */
    struct meta meta;
};

/* Opens the log at `path`. `writing`: to append or flush, which only its owner may; else to read,
 * for which permission is enough (lock_fd is -1 where the lock file cannot be opened). -ENOENT no
 * log there; -ENOTDIR a file; -ENOTEMPTY a directory that is no log; -EACCES, -EPROTO, -EBADMSG
 * (meta damaged or missing beside segments). */
int directory_open(const char *path, bool writing, struct directory *directory);

/* Makes a log at `path`, missing parents too, unless one is there; whole and synced on return:
 * meta, and a first segment. Sizes as in shmwal_options, 0 for the defaults. Safe against others
 * that do the same, and completes what a crash left. Same errors, and -EINVAL for sizes. */
int directory_create(const char *path, uint64_t ring_bytes, uint64_t segment_bytes);

/* The same, for a log that keeps so many bytes of prefilled files ahead of need (store/spare.h). */
int directory_create_with_spares(const char *path, uint64_t ring_bytes, uint64_t segment_bytes,
                                 uint64_t spare_bytes);

/* The lock file in the directory `fd`, made if it is not there and `writing`: a descriptor that no
 * forked child gets, or a negative errno without a sentence. -EBADMSG: it is no file. */
int directory_open_lock(int fd, bool writing);

/* The id of the ring that LOG/lock names, see region/turn.h; 0: none, as in a new log and in a copy
 * that came without that file. */
int directory_named_ring(const struct directory *directory, uint64_t *id);

/* Names it. Also sets the file's times, which those watch who wait for a ring. */
int directory_name_ring(const struct directory *directory, uint64_t id);

void directory_close(struct directory *directory);

#endif
