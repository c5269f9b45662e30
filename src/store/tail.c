/* SPDX-License-Identifier: MIT
 * See tail.h. */
#include "store/tail.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/shortage.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>

/* The file name of a segment that has none yet. */
static const char UNNAMED[] = "next.tmp";

static struct segment *current(struct tail *tail)
{
    return &tail->segments[tail->current];
}

static struct segment *predecessor(struct tail *tail)
{
    return &tail->segments[1 - tail->current];
}

const struct segment *tail_segment(const struct tail *tail)
{
    return &tail->segments[tail->current];
}

bool tail_is_prefilled(const struct tail *tail)
{
    return (tail_segment(tail)->header.compatible & SEGMENT_PREFILLED) != 0;
}

/* ---- Room ---- */

/* How far frames may go: two blocks are kept for a seal and a roll mark. */
static uint64_t frames_end(const struct tail *tail)
{
    return tail_segment(tail)->header.file_bytes - 2 * FORMAT_BLOCK;
}

bool tail_fits(const struct tail *tail, enum frame_kind kind, uint64_t bytes)
{
    uint64_t end = frames_end(tail) + (kind == FRAME_SEAL ? FORMAT_BLOCK : 0);
    return !tail->abandoned && tail->offset + bytes <= end;
}

uint64_t tail_room(const struct tail *tail)
{
    uint64_t end = frames_end(tail);
    if (tail->abandoned || tail->offset >= end)
        return 0;
    uint64_t room = end - tail->offset - sizeof(struct frame_header);
    return room / FORMAT_UNIT * FORMAT_UNIT;
}

uint64_t tail_take(struct tail *tail, uint64_t payload_bytes)
{
    uint64_t offset = tail->offset;
    tail->offset += frame_file_bytes(payload_bytes);
    tail->end_lsn += payload_bytes;
    tail->frames++;
    return offset;
}

/* ---- Rolling ---- */

/* Where the last segment holds nothing, the new one takes its place, name included. */
static struct segment_header describe_next(const struct tail *tail, enum spare_kind spare)
{
    const struct segment_header *old = &tail_segment(tail)->header;
    struct segment_header next = {
        .compatible = spare == SPARE_PREFILLED ? SEGMENT_PREFILLED : 0,
        .number = tail->next_number,
        .first_lsn = tail->end_lsn,
        .previous_first_lsn =
            old->first_lsn == tail->end_lsn ? old->previous_first_lsn : old->first_lsn,
        .file_bytes = tail->directory->meta.segment_bytes,
    };
    memcpy(next.uuid, tail->directory->meta.uuid, sizeof next.uuid);
    return next;
}

int tail_roll(struct tail *tail)
{
    INVARIANT(!tail->unnamed);
    enum spare_kind spare = spare_take(tail->spare, UNNAMED);
    struct segment_header wanted = describe_next(tail, spare);
    tail->next_number++;
    int error = segment_create(tail->directory->segments_fd, UNNAMED, spare != SPARE_NONE, &wanted,
                               tail->sync, predecessor(tail));
    if (error < 0)
        return error;
    const struct segment_header *old = &current(tail)->header;
    tail->left.offset = tail->offset;
    tail->left.mark =
        !tail->abandoned && tail->offset < old->file_bytes && old->first_lsn != tail->end_lsn;
    tail->left.release = tail->left.mark;
    tail->current = 1 - tail->current;
    tail->unnamed = true;
    tail->offset = FORMAT_BLOCK;
    tail->frames = 0;
    tail->abandoned = false;
    return 0;
}

static int sync_directory(int fd)
{
    int error = sys_fsync(fd);
    if (error == -EINVAL) /* a file system that cannot sync a directory */
        return 0;
    return error < 0 ? fail_errno(-error, "cannot sync the directory segments") : 0;
}

/* Step 7. */
static void end_predecessor(struct tail *tail)
{
    struct segment *old = predecessor(tail);
    uint64_t end_lsn = current(tail)->header.first_lsn, offset = tail->left.offset;
    bool marked = tail->left.mark && segment_write_mark(old, FRAME_ROLL, offset, end_lsn) == 0;
    if (tail->left.release)
        segment_release_tail(old, offset + (marked ? FORMAT_BLOCK : 0));
    segment_close(old);
}

int tail_name(struct tail *tail)
{
    INVARIANT(tail->unnamed);
    int fd = tail->directory->segments_fd;
    const char *name = current(tail)->name;
    int error = sys_renameat(fd, UNNAMED, fd, name);
    if (error < 0)
        return fail_errno(-error, "cannot name segment %s", name);
    error = sync_directory(fd);
    if (error < 0)
        return error;
    tail->unnamed = false;
    end_predecessor(tail);
    return 0;
}

/* If it was the sync of the directory that failed, it has its name already; then the next one
 * takes that from it. */
static void drop_unnamed(struct tail *tail)
{
    sys_unlinkat(tail->directory->segments_fd, UNNAMED);
    segment_close(current(tail));
    tail->current = 1 - tail->current;
    tail->unnamed = false;
}

void tail_retreat(struct tail *tail, uint64_t lsn)
{
    if (tail->unnamed)
        drop_unnamed(tail);
    tail->abandoned = true;
    tail->end_lsn = lsn;
}

/* ---- Opening ---- */

/* Leaves the last segment as it is and begins another one at the cut. What lies behind the cut can
 * never become valid again, so its space may go, unless the file is a copy's too. */
static int cut(struct tail *tail)
{
    bool shared = current(tail)->shared;
    int error = tail_roll(tail);
    if (error < 0)
        return error;
    tail->left.mark = false;
    tail->left.release = !shared;
    return tail_name(tail);
}

int tail_open(struct tail *tail, const struct directory *directory, struct spare *spare,
              enum segment_sync sync, const struct recovery *recovery)
{
    *tail = (struct tail){.directory = directory,
                          .spare = spare,
                          .sync = sync,
                          .offset = recovery->end_offset,
                          .end_lsn = recovery->end_lsn,
                          .next_number = recovery->last.number + 1};
    int error = segment_open(directory->segments_fd, recovery->last.first_lsn, directory->meta.uuid,
                             SEGMENT_WRITE, sync, current(tail));
    if (error < 0 || (recovery->resume && !current(tail)->shared))
        return error;
    error = cut(tail);
    if (is_shortage(error)) { /* a later tail_roll() begins it */
        tail_retreat(tail, recovery->end_lsn);
        return 0;
    }
    if (error < 0)
        tail_close(tail);
    return error;
}

void tail_close(struct tail *tail)
{
    if (tail->unnamed)
        drop_unnamed(tail);
    segment_close(current(tail));
}
