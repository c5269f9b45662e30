/* SPDX-License-Identifier: MIT
 * See walk.h, and store/recovery.h for the cases @A to @G. */
#include "reader/walk.h"

#include "base/error.h"
#include "store/recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What a step may say besides walk_next()'s results: nothing was found, but something has
 * changed. */
enum { STEP_AGAIN = 2 };

/* ---- What is found ---- */

static void note(struct walk *walk, enum walk_finding finding, const char *segment, uint64_t offset,
                 uint64_t lsn)
{
    walk->finding = finding;
    snprintf(walk->where, sizeof walk->where, "%s", segment);
    walk->finding_offset = offset;
    walk->finding_lsn = lsn;
}

static int refuse(const struct walk *walk)
{
    return fail(EBADMSG,
                "%s is damaged: segment %s, offset %" PRIu64 ", LSN %" PRIu64 ": %s; all before it "
                "is intact",
                walk->directory->path, walk->where, walk->finding_offset, walk->finding_lsn,
                walk->reason);
}

int walk_refuse(struct walk *walk, uint64_t offset, uint64_t lsn, const char *format, ...)
{
    va_list arguments;
    note(walk, WALK_DAMAGED, walk->segment.name, offset, lsn);
    va_start(arguments, format);
    vsnprintf(walk->reason, sizeof walk->reason, format, arguments);
    va_end(arguments);
    return refuse(walk);
}

static int refuse_segment(struct walk *walk, const char *name, const char *reason)
{
    note(walk, WALK_DAMAGED, name, 0, walk->scan.lsn);
    snprintf(walk->reason, sizeof walk->reason, "%s", reason);
    return refuse(walk);
}

/* ---- The bound ---- */

int walk_look_for_ring(struct walk *walk)
{
    struct region_view *view = &walk->view;
    walk->loads_seen = walk->scan.loads;
    for (;;) {
        if (view->state == NULL) {
            int error = region_view_open(walk->directory, view);
            if (error < 0)
                view->state = NULL;
            if (error == -ENOENT)
                walk->bound = FORMAT_LSN_NONE;
            if (error < 0)
                return error == -ENOENT ? 0 : error;
        }
        walk->bound = region_view_durable(view);
        if (!region_view_gone(view))
            return 0;
        region_view_close(view);
    }
}

/* Bytes were read without a ring: whether there is one now, so that they may be too new. */
static int ring_has_come(struct walk *walk)
{
    if (walk->bound != FORMAT_LSN_NONE || walk->scan.loads == walk->loads_seen)
        return 0;
    int error = walk_look_for_ring(walk);
    return error < 0 ? error : walk->bound != FORMAT_LSN_NONE;
}

/* ---- From segment to segment ---- */

static uint64_t listed_lsn(const struct walk *walk)
{
    return walk->listed < walk->catalog.count ? walk->catalog.first_lsns[walk->listed]
                                              : FORMAT_LSN_NONE;
}

static int open_segment(struct walk *walk, uint64_t first_lsn, struct segment *segment)
{
    return segment_open(walk->directory->segments_fd, first_lsn, walk->directory->meta.uuid,
                        SEGMENT_READ, SYNC_FDATASYNC, segment);
}

/* A segment that held nothing may have been replaced by another of the same name. */
static const char *what_is_wrong(const struct walk *walk, const struct segment *next)
{
    if (!walk->segment_open)
        return NULL;
    if (next->header.first_lsn != walk->segment.header.first_lsn)
        return segment_follows(&walk->segment.header, &next->header);
    return next->header.number < walk->segment.header.number
               ? "it is older than the one that had its name before"
               : NULL;
}

void walk_enter(struct walk *walk, const struct segment *segment)
{
    if (walk->segment_open)
        segment_close(&walk->segment);
    walk->segment = *segment;
    walk->segment_open = true;
    walk->spoiled = false;
    walk->sealed = false;
    walk->judged_offset = 0;
    walk->finding = WALK_INTACT; /* a torn tail that has a successor was cut off */
    scan_start(&walk->scan, &walk->segment);
}

/* STEP_AGAIN if the walk has gone over to another segment that begins at `lsn`, 0 if there is none
 * but the current one. `must`: there has to be one. */
static int follow(struct walk *walk, uint64_t lsn, bool must)
{
    struct segment next;
    if (walk->spoiled && lsn == walk->segment.header.first_lsn)
        return 0; /* there it stands: not to be refused again */
    int error = open_segment(walk, lsn, &next);
    if (error == -ENOENT && !must)
        return 0;
    if (error == -ENOENT)
        return refuse_segment(walk, next.name, "it is missing");
    if (error == -EBADMSG)
        return refuse_segment(walk, next.name, next.damage);
    if (error < 0)
        return fail_context(error, "%s", walk->directory->path);
    const char *wrong = what_is_wrong(walk, &next);
    bool other = !walk->segment_open || next.header.number != walk->segment.header.number;
    if (wrong != NULL || !other)
        segment_close(&next);
    if (wrong != NULL)
        return refuse_segment(walk, next.name, wrong);
    if (!other)
        return 0;
    walk_enter(walk, &next);
    return STEP_AGAIN;
}

/* Goes over to the next segment if it begins where the walk stands. */
static int follow_successor(struct walk *walk)
{
    uint64_t lsn = walk->scan.lsn, listed = listed_lsn(walk);
    if (listed == FORMAT_LSN_NONE)
        return follow(walk, lsn, false);
    if (lsn != listed)
        return 0;
    walk->listed++;
    return follow(walk, lsn, true);
}

/* ---- Where no accepted frame stands ---- */

/* Without a ring, in the last segment: the end for now, torn, or damaged. */
static int judge_end(struct walk *walk)
{
    struct scan *scan = &walk->scan;
    enum recovery_case verdict;
    uint64_t later;
    int zeros = scan_at_zeros(scan);
    if (zeros < 0)
        return zeros;
    if (walk->judged_offset == scan->offset && walk->judged_zeros == zeros)
        return 0;
    int error = recovery_judge(scan, walk->sealed, &verdict, &later);
    if (error == -EBADMSG)
        return walk_refuse(walk, scan->offset, scan->lsn, "the file has become shorter");
    if (error < 0)
        return error;
    int come = ring_has_come(walk);
    if (come != 0)
        return come < 0 ? come : STEP_AGAIN;
    if (verdict == RECOVERY_DAMAGED)
        return walk_refuse(
            walk, scan->offset, scan->lsn,
            "what stood there was durable, as the frame at offset %" PRIu64 " proves", later);
    if (verdict == RECOVERY_TORN) {
        note(walk, WALK_TORN, walk->segment.name, scan->offset, scan->lsn);
        strcpy(walk->reason, "no valid frame stands there, nor anything that was acknowledged");
    }
    walk->judged_offset = scan->offset;
    walk->judged_zeros = zeros;
    return 0;
}

static int stopped(struct walk *walk)
{
    uint64_t listed = listed_lsn(walk);
    if (listed != FORMAT_LSN_NONE) /* @G */
        return walk_refuse(walk, walk->scan.offset, walk->scan.lsn,
                           "no valid frame stands there, and the next segment begins only at LSN "
                           "%" PRIu64,
                           listed);
    if (walk->bound != FORMAT_LSN_NONE)
        return walk_refuse(walk, walk->scan.offset, walk->scan.lsn,
                           "no valid frame stands there, and all below LSN %" PRIu64 " is durable",
                           walk->bound);
    return judge_end(walk);
}

/* ---- Frames ---- */

/* A roll mark: the successor must be there, and begin here. */
static int pass_roll_mark(struct walk *walk, uint64_t offset)
{
    uint64_t lsn = walk->scan.lsn;
    int got = follow_successor(walk);
    if (got != 0)
        return got;
    return walk_refuse(walk, offset, lsn, "the next segment, which this mark tells of, is lost");
}

static int weigh(struct walk *walk, const struct frame_header *frame, uint64_t offset)
{
    uint64_t end = walk->scan.lsn;
    walk->sealed = frame->kind == FRAME_SEAL;
    if (frame->kind == FRAME_ROLL)
        return pass_roll_mark(walk, offset);
    if (frame->kind != FRAME_DATA)
        return STEP_AGAIN;
    uint64_t limit = listed_lsn(walk) < walk->bound ? listed_lsn(walk) : walk->bound;
    if (end > limit)
        return walk_refuse(walk, offset, frame->first_lsn,
                           "the frame that stands there ends at LSN %" PRIu64
                           ", beyond LSN %" PRIu64 " where it must",
                           end, limit);
    if (walk->finding == WALK_TORN)
        walk->finding = WALK_INTACT; /* it was in the making when it looked torn */
    return 1;
}

static int read_frame(struct walk *walk, const struct frame_header **frame)
{
    uint64_t offset = walk->scan.offset, lsn = walk->scan.lsn;
    int got = scan_next(&walk->scan, frame);
    if (got == -EBADMSG)
        return walk_refuse(walk, offset, lsn, "the file has become shorter");
    if (got < 0)
        return fail_context(got, "%s", walk->directory->path);
    int come = ring_has_come(walk);
    if (come != 0) {
        scan_rewind(&walk->scan, offset, lsn);
        return come < 0 ? come : STEP_AGAIN;
    }
    return got == 1 ? weigh(walk, *frame, offset) : stopped(walk);
}

/* Raises the bound if the walk has come to it. What was read meanwhile may have been in the
 * making. */
static int raise_bound(struct walk *walk)
{
    int error = walk_look_for_ring(walk);
    scan_rewind(&walk->scan, walk->scan.offset, walk->scan.lsn);
    return error;
}

int walk_next(struct walk *walk, const struct frame_header **frame)
{
    int got = 0;
    if (walk->finding == WALK_DAMAGED)
        return refuse(walk);
    if (walk->bound == FORMAT_LSN_NONE && walk->judged_offset == walk->scan.offset)
        got = raise_bound(walk); /* it said that this is the end: has anything come since? */
    if (got < 0)
        return got;
    do {
        if (walk->scan.lsn >= walk->end_lsn)
            return 0;
        if (walk->scan.lsn >= walk->bound && (got = raise_bound(walk)) < 0)
            return got;
        if (walk->scan.lsn >= walk->bound)
            return 0;
        got = follow_successor(walk);
        if (got == 0)
            got = read_frame(walk, frame);
    } while (got == STEP_AGAIN);
    return got;
}

int walk_skip(struct walk *walk, uint64_t lsn)
{
    uint64_t durable = listed_lsn(walk);
    if (durable == FORMAT_LSN_NONE)
        durable = walk->bound;
    if (durable == FORMAT_LSN_NONE || lsn <= walk->scan.lsn || walk->finding == WALK_DAMAGED)
        return 0;
    int error = scan_skip(&walk->scan, lsn < durable ? lsn : durable);
    if (error == -EBADMSG) /* the file has become shorter: walk_next() says where */
        return 0;
    return error < 0 ? fail_context(error, "%s", walk->directory->path) : 0;
}

/* What is read from the log's beginning must begin with the log's first segment. */
static int check_first(struct walk *walk)
{
    uint64_t previous = walk->segment.header.previous_first_lsn;
    char name[SEGMENT_NAME_BYTES];
    if (previous == FORMAT_LSN_NONE)
        return 0;
    segment_name(previous, name);
    walk->scan.lsn = 0;
    walk->listed = 0; /* what is there comes behind it */
    return refuse_segment(walk, name, "it is missing");
}

int walk_open(struct walk *walk, const struct directory *directory, uint64_t from_lsn)
{
    memset(walk, 0, sizeof *walk);
    walk->directory = directory;
    walk->end_lsn = FORMAT_LSN_NONE;
    int error = walk_look_for_ring(walk);
    if (error == 0)
        error = catalog_open(directory, &walk->catalog);
    if (error < 0) {
        walk_close(walk);
        return error;
    }
    size_t place = catalog_find(&walk->catalog, from_lsn);
    walk->listed = place + 1;
    walk->scan.lsn = walk->catalog.first_lsns[place];
    error = follow(walk, walk->scan.lsn, true);
    if (error == STEP_AGAIN && (from_lsn == 0 || from_lsn < walk->scan.lsn))
        error = check_first(walk);
    if (error < 0 && walk->finding != WALK_DAMAGED) {
        walk_close(walk);
        return error;
    }
    return 0; /* damage is met by the first walk_next() */
}

void walk_close(struct walk *walk)
{
    if (walk->segment_open)
        segment_close(&walk->segment);
    walk->segment_open = false;
    scan_close(&walk->scan);
    catalog_close(&walk->catalog);
    region_view_close(&walk->view);
}
