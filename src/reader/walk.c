/* SPDX-License-Identifier: MIT
 * See walk.h. */
#include "reader/walk.h"

#include "base/error.h"
#include "store/catalog.h"
#include "store/recovery.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- What is found ---- */

__attribute__((format(printf, 5, 6))) static void note(struct walk *walk, enum walk_finding finding,
                                                       const char *segment, uint64_t offset,
                                                       const char *format, ...)
{
    va_list arguments;
    walk->finding = finding;
    snprintf(walk->where, sizeof walk->where, "%s", segment);
    walk->finding_offset = offset;
    walk->finding_lsn = walk->scan.lsn;
    va_start(arguments, format);
    vsnprintf(walk->reason, sizeof walk->reason, format, arguments);
    va_end(arguments);
}

static int refuse(const struct walk *walk)
{
    return fail(
        EBADMSG,
        "%s is damaged: segment %s, offset %" PRIu64 " (LSN %" PRIu64 "): %s; all before it "
        "is intact",
        walk->directory->path, walk->where, walk->finding_offset, walk->finding_lsn, walk->reason);
}

#define REFUSE_HERE(walk, ...)                                                                     \
    (note(walk, WALK_DAMAGED, (walk)->segment.name, (walk)->scan.offset, __VA_ARGS__), refuse(walk))

/* ---- From segment to segment ---- */

/* Where the segment behind the one at `first_lsn` begins. */
static int find_limit(const struct directory *directory, uint64_t first_lsn, uint64_t *limit)
{
    struct catalog catalog;
    int error = catalog_open(directory, &catalog);
    if (error < 0)
        return error;
    *limit = FORMAT_LSN_NONE;
    for (size_t i = 0; i + 1 < catalog.count; i++)
        if (catalog.first_lsns[i] == first_lsn)
            *limit = catalog.first_lsns[i + 1];
    catalog_close(&catalog);
    return 0;
}

static void leave_segment(struct walk *walk)
{
    if (walk->segment_open)
        segment_close(&walk->segment);
    walk->segment_open = false;
}

static int enter_segment(struct walk *walk, uint64_t first_lsn)
{
    struct segment next;
    uint64_t limit = FORMAT_LSN_NONE;
    const char *wrong = NULL;
    int error = segment_open(walk->directory->segments_fd, first_lsn, walk->directory->meta.uuid,
                             SEGMENT_READ, SYNC_FDATASYNC, &next);
    if (error == -EBADMSG || error == -ENOENT) {
        note(walk, WALK_DAMAGED, next.name, 0, "%s",
             error == -ENOENT ? "it is missing" : next.damage);
        return refuse(walk);
    }
    if (error < 0)
        return fail_context(error, "%s", walk->directory->path);
    if (walk->segment_open)
        wrong = segment_follows(&walk->segment.header, &next.header);
    if (wrong != NULL) {
        note(walk, WALK_DAMAGED, next.name, 0, "%s", wrong);
        segment_close(&next);
        return refuse(walk);
    }
    error = find_limit(walk->directory, first_lsn, &limit);
    if (error < 0) {
        segment_close(&next);
        return error;
    }
    leave_segment(walk);
    walk->segment = next;
    walk->segment_open = true;
    walk->limit = limit;
    walk->reread = false;
    walk->judged_offset = 0;
    walk->finding = WALK_INTACT; /* a torn tail that has a successor was cut off */
    scan_start(&walk->scan, &walk->segment);
    walk->loads_seen = walk->scan.loads;
    return 0;
}

static bool segment_exists(const struct walk *walk, uint64_t first_lsn)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(first_lsn, name);
    int fd = sys_openat(walk->directory->segments_fd, name, O_PATH, 0);
    if (fd >= 0)
        sys_close(fd);
    return fd >= 0;
}

/* 1 if the walk has gone over to the segment that begins where it stands, 0 if there is none (yet). */
static int follow_successor(struct walk *walk)
{
    uint64_t lsn = walk->scan.lsn;
    if (lsn == walk->segment.header.first_lsn ||
        (walk->limit != FORMAT_LSN_NONE && lsn != walk->limit))
        return 0;
    if (walk->limit == FORMAT_LSN_NONE && !segment_exists(walk, lsn))
        return 0;
    int error = enter_segment(walk, lsn);
    return error < 0 ? error : 1;
}

/* ---- The bound ---- */

bool walk_has_ring(struct walk *walk)
{
    if (walk->view.state != NULL && region_view_gone(&walk->view))
        region_view_close(&walk->view);
    if (walk->view.state == NULL && region_view_open(walk->directory, &walk->view) < 0)
        walk->view.state = NULL;
    return walk->view.state != NULL;
}

static uint64_t bound(struct walk *walk)
{
    if (walk->view.state != NULL && region_view_gone(&walk->view))
        walk_has_ring(walk);
    return walk->view.state != NULL ? region_view_durable(&walk->view) : FORMAT_LSN_NONE;
}

/* Bytes that were read while there was no ring are what survived. If the file was read since then, a
 * ring may have come before, and with it bytes that are not durable yet. True if one is there now. */
static bool ring_has_come(struct walk *walk)
{
    if (walk->view.state != NULL || walk->scan.loads == walk->loads_seen)
        return false;
    walk->loads_seen = walk->scan.loads;
    return walk_has_ring(walk);
}

/* ---- Where no accepted frame stands ---- */

static int judge_end(struct walk *walk)
{
    enum recovery_case verdict;
    uint64_t later;
    if (walk->judged_offset == walk->scan.offset && scan_at_zeros(&walk->scan) == 1)
        return 0;
    int error = recovery_judge(&walk->scan, true, &verdict, &later);
    if (error < 0)
        return error;
    if (verdict == RECOVERY_DAMAGED)
        return REFUSE_HERE(
            walk, "what stood there was durable, as the frame at offset %" PRIu64 " proves", later);
    if (verdict == RECOVERY_TORN)
        note(walk, WALK_TORN, walk->segment.name, walk->scan.offset,
             "a crash left unfinished what stands there; nothing of it was acknowledged");
    walk->judged_offset = walk->scan.offset;
    return 0;
}

/* 1: look again. 0: the end for now. */
static int stopped(struct walk *walk, uint64_t below)
{
    if (!walk->reread) { /* what was read may be older than what is known to be there */
        scan_rewind(&walk->scan, walk->scan.offset, walk->scan.lsn);
        walk->reread = true;
        return 1;
    }
    walk->reread = false;
    if (walk->limit != FORMAT_LSN_NONE)
        return REFUSE_HERE(walk,
                           "no valid frame stands there, and the next segment begins only at "
                           "LSN %" PRIu64,
                           walk->limit);
    if (below != FORMAT_LSN_NONE)
        return REFUSE_HERE(walk,
                           "no valid frame stands there, and the ring says that all below LSN "
                           "%" PRIu64 " is durable",
                           below);
    return walk_has_ring(walk) ? 1 : judge_end(walk);
}

/* ---- Frames ---- */

/* 1: yield it. 0: the end for now. -EAGAIN: it is no data, go on. */
static int weigh(struct walk *walk, const struct frame_header *frame, uint64_t below)
{
    uint64_t end = frame->first_lsn + frame->payload_bytes;
    if (frame->kind == FRAME_ROLL && !segment_exists(walk, end))
        return REFUSE_HERE(walk,
                           "the log ends with the mark that another segment follows, which is "
                           "lost");
    if (frame->kind != FRAME_DATA)
        return -EAGAIN;
    if (end > walk->limit)
        return REFUSE_HERE(
            walk, "the frame before it goes beyond LSN %" PRIu64 ", where the next segment begins",
            walk->limit);
    return end <= below;
}

int walk_next(struct walk *walk, const struct frame_header **frame)
{
    while (walk->finding != WALK_DAMAGED) {
        uint64_t below = bound(walk);
        if (walk->scan.lsn >= below)
            return 0;
        int got = follow_successor(walk);
        if (got < 0)
            return got;
        if (got == 1)
            continue;
        uint64_t offset = walk->scan.offset, lsn = walk->scan.lsn;
        got = scan_next(&walk->scan, frame);
        if (got == -EBADMSG)
            return REFUSE_HERE(walk, "the file has become shorter");
        if (got < 0)
            return fail_context(got, "%s", walk->directory->path);
        if (got == 1 && !ring_has_come(walk)) {
            got = weigh(walk, *frame, below);
            if (got == -EAGAIN || got == 1)
                walk->reread = false;
            if (got == 0)
                scan_rewind(&walk->scan, offset, lsn);
            if (got != -EAGAIN)
                return got;
        } else if (got == 1) {
            scan_rewind(&walk->scan, offset, lsn);
        } else if ((got = stopped(walk, below)) != 1) {
            return got;
        }
    }
    return refuse(walk);
}

int walk_open(struct walk *walk, const struct directory *directory, uint64_t from_lsn)
{
    struct catalog catalog;
    memset(walk, 0, sizeof *walk);
    walk->directory = directory;
    int error = catalog_open(directory, &catalog);
    if (error < 0)
        return error;
    uint64_t first_lsn = catalog.first_lsns[catalog_find(&catalog, from_lsn)];
    catalog_close(&catalog);
    walk->scan.lsn = first_lsn;
    walk_has_ring(walk);
    error = enter_segment(walk, first_lsn);
    if (error < 0 && walk->finding != WALK_DAMAGED) {
        walk_close(walk);
        return error;
    }
    return 0; /* damage is met by the first walk_next() */
}

void walk_close(struct walk *walk)
{
    leave_segment(walk);
    scan_close(&walk->scan);
    region_view_close(&walk->view);
}
