/* SPDX-License-Identifier: MIT
 * See recovery.h: the cases are there. */
#include "store/recovery.h"

#include "base/error.h"
#include "store/catalog.h"
#include "sys/file.h"

#include <errno.h>
#include <inttypes.h>

int recovery_judge(struct scan *scan, bool sealed, enum recovery_case *verdict,
                   uint64_t *later_offset)
{
    struct scan_tail tail;
    int error = scan_look_past(scan, &tail);
    if (error < 0)
        return error;
    *later_offset = tail.later_offset;
    if (tail.later_offset != 0)
        *verdict = RECOVERY_DAMAGED; /* @D */
    else if (!tail.zero)
        *verdict = RECOVERY_TORN; /* @C */
    else
        *verdict = sealed ? RECOVERY_SEALED : RECOVERY_UNSEALED; /* @A, @B */
    return 0;
}

/* Where the scan of the last segment got. */
struct reached {
    uint64_t cut_lsn;    /* in: where to note the offset */
    uint64_t cut_offset; /* out: 0 if no frame ends or begins there */
    bool sealed;
};

static int refuse_lost_successor(const struct scan *scan)
{
    return fail(EBADMSG,
                "segment %s ends at offset %" PRIu64 " (LSN %" PRIu64 ") with the mark that "
                "another follows, which is lost: restore it from a copy of this log",
                scan->segment->name, scan->offset, scan->lsn);
}

/* Accepts frames until one is not. 0, or an error; @E. */
static int accept_frames(struct scan *scan, struct reached *reached)
{
    const struct frame_header *frame;
    for (;;) {
        if (reached->cut_offset == 0 && scan->lsn == reached->cut_lsn)
            reached->cut_offset = scan->offset;
        int got = scan_next(scan, &frame);
        if (got <= 0)
            return got;
        if (frame->kind == FRAME_ROLL)
            return refuse_lost_successor(scan);
        reached->sealed = frame->kind == FRAME_SEAL;
    }
}

static int refuse_damage(const struct scan *scan, uint64_t later_offset)
{
    return fail(EBADMSG,
                "segment %s is damaged at offset %" PRIu64 " (LSN %" PRIu64 "): what stood "
                "there was durable, as the frame at offset %" PRIu64 " proves; restore it "
                "from a copy of this log",
                scan->segment->name, scan->offset, scan->lsn, later_offset);
}

static int refuse_short(const struct scan *scan, uint64_t durable_lsn)
{
    return fail(EBADMSG,
                "segment %s does not hold what the ring says is durable: its frames lead to "
                "LSN %" PRIu64 ", not to LSN %" PRIu64 "; something else wrote to this log",
                scan->segment->name, scan->lsn, durable_lsn);
}

static int recover_segment(struct scan *scan, uint64_t durable_lsn, struct recovery *recovery)
{
    struct reached reached = {.cut_lsn = durable_lsn};
    uint64_t later_offset;
    int error = accept_frames(scan, &reached);
    if (error == 0)
        error = recovery_judge(scan, reached.sealed, &recovery->verdict, &later_offset);
    if (error < 0)
        return error;
    if (recovery->verdict == RECOVERY_DAMAGED)
        return refuse_damage(scan, later_offset);
    recovery->last = scan->segment->header;
    recovery->end_lsn = scan->lsn;
    recovery->end_offset = scan->offset;
    recovery->resume = recovery->verdict == RECOVERY_SEALED;
    if (durable_lsn == FORMAT_LSN_NONE || durable_lsn == scan->lsn)
        return 0;
    if (reached.cut_offset == 0)
        return refuse_short(scan, durable_lsn); /* @I */
    recovery->end_lsn = durable_lsn;            /* @H */
    recovery->end_offset = reached.cut_offset;
    recovery->resume = false;
    return 0;
}

static int sync_one(int fd, int (*sync)(int), const char *what)
{
    int error = sync(fd);
    if (error < 0 && error != -EINVAL &&
        error != -EROFS) /* what cannot be synced holds nothing new */
        return fail_errno(-error, "cannot sync %s", what);
    return 0;
}

/* Before a byte is read: what the device then gives is what it keeps. */
static int sync_all(const struct directory *directory, const struct segment *last)
{
    int error = sync_one(directory->fd, sys_fsync, "the log's directory");
    if (error == 0)
        error = sync_one(directory->segments_fd, sys_fsync, "the directory segments");
    if (error == 0)
        error = sync_one(last->fd, sys_fdatasync, last->name);
    return error;
}

int recovery_run(const struct directory *directory, uint64_t durable_lsn, struct recovery *recovery)
{
    struct catalog catalog;
    struct segment last;
    struct segment_header header;
    struct recovery found = {0};
    struct scan scan = {0};
    int error = catalog_open(directory, &catalog);
    if (error < 0)
        return error;
    error = catalog_check(directory, &catalog, &header); /* @J */
    catalog_close(&catalog);
    if (error == 0)
        error = segment_open(directory->segments_fd, header.first_lsn, directory->meta.uuid,
                             SEGMENT_READ_DIRECT, SYNC_FDATASYNC, &last);
    if (error < 0)
        return error;
    scan_start(&scan, &last);
    error = sync_all(directory, &last);
    if (error == 0)
        error = recover_segment(&scan, durable_lsn, &found);
    scan_close(&scan);
    segment_close(&last);
    if (error == 0)
        *recovery = found;
    return error;
}
