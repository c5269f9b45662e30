/* SPDX-License-Identifier: MIT
 *
 * Going on behind damage, when asked to: walk_salvage() of walk.h.
 *
 * What is yielded behind a hole are valid frames at or behind the LSN of the damage, within what
 * the next segment leaves of this one. So no record comes twice, in another order, or from behind a
 * cut. A segment whose header or size is spoiled is read as far as its frames speak for themselves:
 * each has the segment's salt, which its checksum covers.
 *
 * Knows walk, segment, format, sys, base. Changes with recovery's rules. */
#include "base/error.h"
#include "reader/walk.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* What frames must not reach beyond: the next segment's beginning, and the ring's durable LSN. */
static uint64_t limit_of(const struct walk *walk)
{
    uint64_t next = walk->listed < walk->catalog.count ? walk->catalog.first_lsns[walk->listed]
                                                       : FORMAT_LSN_NONE;
    return next < walk->bound ? next : walk->bound;
}

/* 1 if the walk now stands at a valid frame in the current segment. */
static int search(struct walk *walk, uint64_t offset, uint64_t lsn)
{
    scan_rewind(&walk->scan, offset, lsn);
    int got = scan_search(&walk->scan, limit_of(walk));
    if (got < 0 && got != -EBADMSG)
        return fail_context(got, "%s", walk->directory->path);
    if (got == 1)
        walk->finding = WALK_INTACT;
    return got == 1;
}

/* Opens what can be opened of a spoiled segment; its header is made up from its name and frames. */
static int open_spoiled(struct walk *walk, uint64_t first_lsn, struct segment *segment)
{
    struct stat status;
    *segment = (struct segment){.header.first_lsn = first_lsn};
    segment_name(first_lsn, segment->name);
    segment->fd = sys_openat(walk->directory->segments_fd, segment->name, O_RDONLY | O_NONBLOCK, 0);
    if (segment->fd < 0)
        return segment->fd;
    int error = sys_fstat(segment->fd, &status);
    if (error == 0 && !S_ISREG(status.st_mode))
        error = -EBADMSG;
    if (error == 0) {
        segment->header.file_bytes = (uint64_t)status.st_size / FORMAT_BLOCK * FORMAT_BLOCK;
        error = scan_find_salt(segment);
    }
    if (error < 0)
        sys_close(segment->fd);
    return error;
}

/* 1 if the segment that begins at `first_lsn` has a valid frame at or behind `lsn`. */
static int search_segment(struct walk *walk, uint64_t first_lsn, uint64_t lsn)
{
    struct segment segment;
    int error = segment_open(walk->directory->segments_fd, first_lsn, walk->directory->meta.uuid,
                             SEGMENT_READ, SYNC_FDATASYNC, &segment);
    bool spoiled = error == -EBADMSG;
    if (spoiled)
        error = open_spoiled(walk, first_lsn, &segment);
    if (error == -EBADMSG || error == -ENOENT)
        return 0;
    if (error < 0)
        return fail_context(error, "%s", walk->directory->path);
    enum walk_finding finding = walk->finding;
    walk_enter(walk, &segment);
    walk->spoiled = spoiled;
    walk->finding = finding;
    return search(walk, FORMAT_BLOCK, lsn > first_lsn ? lsn : first_lsn);
}

int walk_salvage(struct walk *walk)
{
    uint64_t lsn = walk->finding_lsn, spoiled;
    bool inside = walk->segment_open && strcmp(walk->where, walk->segment.name) == 0;
    int got = 0;
    if (walk->finding != WALK_DAMAGED)
        return fail(EINVAL, "%s: there is no damage where this reader stands",
                    walk->directory->path);
    if (inside)
        got = search(walk, walk->finding_offset + FORMAT_BLOCK, lsn);
    else if (segment_name_parse(walk->where, &spoiled))
        got = search_segment(walk, spoiled, lsn);
    while (got == 0 && walk->listed < walk->catalog.count)
        got = search_segment(walk, walk->catalog.first_lsns[walk->listed++], lsn);
    return got;
}
