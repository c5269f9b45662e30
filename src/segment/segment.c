/* SPDX-License-Identifier: MIT
 * See segment.h. */
#include "segment/segment.h"

#include "base/assert.h"
#include "base/error.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void segment_name(uint64_t first_lsn, char name[SEGMENT_NAME_BYTES])
{
    snprintf(name, SEGMENT_NAME_BYTES, "%016" PRIx64 ".seg", first_lsn);
}

bool segment_name_parse(const char *name, uint64_t *first_lsn)
{
    char again[SEGMENT_NAME_BYTES];
    uint64_t value;
    if (strlen(name) != SEGMENT_NAME_BYTES - 1 || sscanf(name, "%16" SCNx64, &value) != 1)
        return false;
    segment_name(value, again);
    if (strcmp(name, again) != 0)
        return false;
    *first_lsn = value;
    return true;
}

static int draw_salt(uint64_t *salt)
{
    ssize_t got;
    do {
        got = getrandom(salt, sizeof *salt, 0);
    } while (got < 0 && errno == EINTR);
    return got == sizeof *salt ? 0 : fail_errno(errno, "cannot draw a random number");
}

static int direct_flag(enum segment_sync sync)
{
    return sync == SYNC_DIRECT ? O_DIRECT : 0;
}

static int write_header(const struct segment *segment)
{
    alignas(FORMAT_BLOCK) struct segment_header block = segment->header;
    return segment_write(segment, &block, sizeof block, 0);
}

static int allocate(const struct segment *segment, const char *temporary)
{
    int error = sys_allocate(segment->fd, segment->header.file_bytes);
    if (error < 0)
        return fail_errno(-error, "cannot allocate %" PRIu64 " bytes for segment %s (as %s)",
                          segment->header.file_bytes, segment->name, temporary);
    return 0;
}

/* A fresh file's size and blocks are metadata: only fsync is sure to bring them all to the disk. */
static int sync_fresh(const struct segment *segment)
{
    int error = sys_fsync(segment->fd);
    return error < 0 ? fail_errno(-error, "segment %s: cannot sync the new file", segment->name)
                     : 0;
}

static int fill_fresh(struct segment *segment, const char *temporary, bool reuse)
{
    int error = draw_salt(&segment->header.salt);
    if (error == 0 && !reuse)
        error = allocate(segment, temporary);
    if (error < 0)
        return error;
    segment->header.created_ns = (uint64_t)clock_real_ns();
    segment_header_seal(&segment->header);
    error = write_header(segment);
    return error == 0 && !reuse ? sync_fresh(segment) : error;
}

int segment_create(int directory, const char *temporary, bool reuse,
                   const struct segment_header *wanted, enum segment_sync sync,
                   struct segment *segment)
{
    struct segment made = {.sync = sync, .header = *wanted};
    segment_name(wanted->first_lsn, made.name);
    int flags = O_RDWR | direct_flag(sync);
    if (!reuse) {
        sys_unlinkat(directory, temporary);
        flags |= O_CREAT | O_EXCL;
    }
    made.fd = sys_openat(directory, temporary, flags, 0600);
    if (made.fd < 0)
        return fail_errno(-made.fd, "cannot create segment %s (as %s)", made.name, temporary);
    int error = fill_fresh(&made, temporary, reuse);
    if (error < 0) {
        sys_close(made.fd);
        sys_unlinkat(directory, temporary);
        return error;
    }
    *segment = made;
    return 0;
}

/* A FIFO or a device in a segment's place must neither hang us nor be read. */
static int open_regular(int directory, const char *name, int flags, struct stat *status)
{
    int fd = sys_openat(directory, name, flags | O_NONBLOCK, 0);
    if (fd == -EINVAL && (flags & O_DIRECT) && (flags & O_ACCMODE) == O_RDONLY)
        fd = sys_openat(directory, name, (flags & ~O_DIRECT) | O_NONBLOCK, 0);
    if (fd < 0)
        return fail_errno(-fd, "cannot open segment %s", name);
    int error = sys_fstat(fd, status);
    if (error < 0)
        error = fail_errno(-error, "segment %s", name);
    else if (!S_ISREG(status->st_mode))
        error = fail(EBADMSG, "segment %s is not a regular file", name);
    if (error < 0) {
        sys_close(fd);
        return error;
    }
    return fd;
}

static int damaged(struct segment *segment, const char *reason)
{
    segment->damage = reason;
    return fail(EBADMSG, "segment %s is damaged: %s", segment->name, reason);
}

static int check_header(struct segment *segment, uint64_t first_lsn, const uint8_t *uuid,
                        uint64_t size)
{
    const struct segment_header *header = &segment->header;
    switch (segment_header_check(header)) {
    case BLOCK_FOREIGN:
        return damaged(segment, "it does not begin with a segment's header");
    case BLOCK_DAMAGED:
        return damaged(segment, "its header does not match its checksum");
    case BLOCK_INCOMPATIBLE:
        return fail(EPROTO,
                    "segment %s was written by a version of this library that this one "
                    "does not understand: use that version",
                    segment->name);
    case BLOCK_VALID:
        break;
    }
    if (memcmp(header->uuid, uuid, FORMAT_UUID_BYTES) != 0)
        return damaged(segment, "it belongs to another log");
    if (header->first_lsn != first_lsn)
        return damaged(segment, "its name is not the one that its header asks for");
    if (size < header->file_bytes)
        return damaged(segment, "it is shorter than its header says");
    return 0;
}

static int read_header(struct segment *segment, uint64_t first_lsn, const uint8_t *uuid,
                       uint64_t size)
{
    alignas(FORMAT_BLOCK) struct segment_header block;
    ssize_t got = sys_pread_full(segment->fd, &block, sizeof block, 0);
    if (got < 0)
        return fail_errno((int)-got, "segment %s: cannot read its header", segment->name);
    if (got < (ssize_t)sizeof block)
        return damaged(segment, "it is shorter than a segment's header");
    segment->header = block;
    return check_header(segment, first_lsn, uuid, size);
}

int segment_open(int directory, uint64_t first_lsn, const uint8_t uuid[FORMAT_UUID_BYTES],
                 enum segment_access access, enum segment_sync sync, struct segment *segment)
{
    struct segment opened = {.sync = sync};
    struct stat status;
    int flags = access == SEGMENT_WRITE         ? O_RDWR | direct_flag(sync)
                : access == SEGMENT_READ_DIRECT ? O_RDONLY | O_DIRECT
                                                : O_RDONLY;
    segment_name(first_lsn, opened.name);
    int error = opened.fd = open_regular(directory, opened.name, flags, &status);
    if (error == -EBADMSG)
        opened.damage = "it is not a regular file";
    if (error >= 0) {
        opened.shared = status.st_nlink > 1;
        error = read_header(&opened, first_lsn, uuid, (uint64_t)status.st_size);
        if (error < 0)
            sys_close(opened.fd);
    }
    if (error < 0) {
        memcpy(segment->name, opened.name, sizeof opened.name);
        segment->damage = opened.damage;
        return error;
    }
    *segment = opened;
    return 0;
}

void segment_close(struct segment *segment)
{
    sys_close(segment->fd);
    segment->fd = -1;
}

const char *segment_follows(const struct segment_header *previous,
                            const struct segment_header *next)
{
    if (next->previous_first_lsn != previous->first_lsn)
        return "the segment before it is missing";
    if (next->number <= previous->number)
        return "it is older than the segment before it";
    return NULL;
}

int segment_write(const struct segment *segment, const void *data, uint64_t bytes, uint64_t offset)
{
    INVARIANT(bytes % FORMAT_BLOCK == 0 && offset % FORMAT_BLOCK == 0);
    INVARIANT(offset + bytes <= segment->header.file_bytes);
    bool direct = segment->sync == SYNC_DIRECT;
    int error = sys_pwrite_full(segment->fd, data, bytes, offset, direct);
    if (error == 0 && !direct)
        error = sys_fdatasync(segment->fd);
    if (error < 0)
        return fail_errno(-error, "segment %s: cannot write %" PRIu64 " bytes at offset %" PRIu64,
                          segment->name, bytes, offset);
    return 0;
}

int segment_write_mark(const struct segment *segment, enum frame_kind kind, uint64_t offset,
                       uint64_t end_lsn)
{
    alignas(FORMAT_BLOCK) char block[FORMAT_BLOCK] = {0};
    frame_seal_header((struct frame_header *)block, kind, end_lsn, end_lsn,
                      (uint64_t)clock_real_ns(), 0, 0, segment->header.salt);
    return segment_write(segment, block, sizeof block, offset);
}

void segment_release_tail(const struct segment *segment, uint64_t offset)
{
    if (offset < segment->header.file_bytes)
        sys_punch(segment->fd, offset, segment->header.file_bytes - offset);
}
