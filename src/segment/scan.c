/* SPDX-License-Identifier: MIT
 * See scan.h. */
#include "segment/scan.h"

#include "base/error.h"
#include "sys/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A follower that wakes for one record reads little; one that reads on soon reads a lot at a
 * time. */
enum { AHEAD_MIN = 64 << 10, AHEAD_MAX = 1 << 20 };

void scan_start(struct scan *scan, const struct segment *segment)
{
    scan->segment = segment;
    scan_rewind(scan, FORMAT_BLOCK, segment->header.first_lsn);
}

void scan_close(struct scan *scan)
{
    free(scan->window);
    *scan = (struct scan){0};
}

void scan_rewind(struct scan *scan, uint64_t offset, uint64_t lsn)
{
    scan->offset = offset;
    scan->lsn = lsn;
    scan->window_bytes = 0;
    scan->ahead = AHEAD_MIN;
}

/* Moves what the window has from `offset` on to its beginning, in a larger one if `bytes` ask for
 * it. */
static int make_room(struct scan *scan, uint64_t offset, uint64_t bytes)
{
    uint64_t end = scan->window_offset + scan->window_bytes;
    bool inside = offset >= scan->window_offset && offset < end;
    uint64_t kept = inside ? end - offset : 0;
    const char *from = inside ? scan->window + (offset - scan->window_offset) : scan->window;
    if (bytes > scan->capacity) {
        char *larger = aligned_alloc(FORMAT_BLOCK, bytes);
        if (larger == NULL)
            return fail(ENOMEM,
                        "segment %s, offset %" PRIu64 ": no memory for a frame of %" PRIu64
                        " bytes",
                        scan->segment->name, offset, bytes);
        if (kept > 0)
            memcpy(larger, from, kept);
        free(scan->window);
        scan->window = larger;
        scan->capacity = bytes;
    } else if (kept > 0) {
        memmove(scan->window, from, kept);
    }
    scan->window_offset = offset;
    scan->window_bytes = kept;
    return 0;
}

static int read_on(struct scan *scan, uint64_t bytes)
{
    uint64_t at = scan->window_offset + scan->window_bytes;
    ssize_t got = sys_pread_full(scan->segment->fd, scan->window + scan->window_bytes, bytes, at);
    if (got < 0)
        return fail_errno((int)-got, "segment %s: cannot read at offset %" PRIu64,
                          scan->segment->name, at);
    if ((uint64_t)got < bytes)
        return fail(EBADMSG, "segment %s became shorter while it was read: it ends at %" PRIu64,
                    scan->segment->name, at + (uint64_t)got);
    scan->window_bytes += bytes;
    scan->loads++;
    return 0;
}

/* Points *data to the file's `bytes` at `offset`; both multiples of FORMAT_BLOCK, and inside. */
static int load(struct scan *scan, uint64_t offset, uint64_t bytes, const void **data)
{
    uint64_t end = scan->window_offset + scan->window_bytes;
    if (offset < scan->window_offset || offset + bytes > end) {
        if (offset > end) /* what lay ahead was not wanted */
            scan->ahead = AHEAD_MIN;
        uint64_t left = scan->segment->header.file_bytes - offset;
        uint64_t want = bytes > scan->ahead ? bytes : scan->ahead;
        want = want < left ? want : left;
        int error = make_room(scan, offset, want);
        if (error == 0)
            error = read_on(scan, want - scan->window_bytes);
        if (error < 0)
            return error;
        scan->ahead = scan->ahead < AHEAD_MAX ? 2 * scan->ahead : AHEAD_MAX;
    }
    *data = scan->window + (offset - scan->window_offset);
    return 0;
}

/* 1 and the valid frame at `offset`, 0 if none is there. */
static int load_frame(struct scan *scan, uint64_t offset, const struct frame_header **frame)
{
    const struct segment_header *header = &scan->segment->header;
    if (offset >= header->file_bytes)
        return 0;
    const void *data;
    uint64_t room = header->file_bytes - offset;
    int error = load(scan, offset, FORMAT_BLOCK, &data);
    if (error < 0)
        return error;
    const struct frame_header *found = data;
    if (!frame_plausible(found, room, header->salt))
        return 0;
    error = load(scan, offset, frame_file_bytes(found->payload_bytes), &data);
    if (error < 0)
        return error;
    *frame = data;
    return frame_valid(*frame, room, header->salt);
}

int scan_next(struct scan *scan, const struct frame_header **frame)
{
    const struct frame_header *found;
    int got = load_frame(scan, scan->offset, &found);
    if (got <= 0)
        return got;
    if (found->first_lsn != scan->lsn || !frame_records_fit(found))
        return 0;
    scan->offset += frame_file_bytes(found->payload_bytes);
    scan->lsn += found->payload_bytes;
    *frame = found;
    return 1;
}

/* 1 if the scan went over the frame at its place, 0 if that is to be read, -ENOENT if no frame
 * seems to be there. */
static int skip_frame(struct scan *scan, uint64_t lsn)
{
    const struct segment_header *header = &scan->segment->header;
    const void *data;
    if (scan->offset >= header->file_bytes)
        return -ENOENT;
    int error = load(scan, scan->offset, FORMAT_BLOCK, &data);
    if (error < 0)
        return error;
    const struct frame_header *frame = data;
    uint64_t room = header->file_bytes - scan->offset;
    if (!frame_plausible(frame, room, header->salt) || frame->first_lsn != scan->lsn)
        return -ENOENT;
    if (frame->kind == FRAME_ROLL || frame->first_lsn + frame->payload_bytes >= lsn)
        return 0;
    scan->offset += frame_file_bytes(frame->payload_bytes);
    scan->lsn += frame->payload_bytes;
    return 1;
}

/* A header that lies about its frame's length leads to where no frame is: that frame is then read
 * after all. */
int scan_skip(struct scan *scan, uint64_t lsn)
{
    uint64_t before = scan->offset, lsn_before = scan->lsn;
    for (;;) {
        uint64_t offset = scan->offset, first_lsn = scan->lsn;
        int got = skip_frame(scan, lsn);
        if (got == -ENOENT) {
            scan->offset = before;
            scan->lsn = lsn_before;
            return 0;
        }
        if (got <= 0)
            return got;
        before = offset;
        lsn_before = first_lsn;
    }
}

static bool is_zero(const void *block)
{
    const uint64_t *words = block;
    uint64_t any = 0;
    for (size_t i = 0; i < FORMAT_BLOCK / sizeof *words; i++)
        any |= words[i];
    return any == 0;
}

int scan_look_past(struct scan *scan, struct scan_tail *tail)
{
    struct scan_tail seen = {.zero = true};
    uint64_t end = scan->segment->header.file_bytes;
    for (uint64_t at = scan->offset; at < end; at += FORMAT_BLOCK) {
        const void *block;
        const struct frame_header *frame;
        int error = load(scan, at, FORMAT_BLOCK, &block);
        if (error < 0)
            return error;
        if (is_zero(block))
            continue;
        seen.zero = false;
        int got = load_frame(scan, at, &frame);
        if (got < 0)
            return got;
        if (got > 0 && frame->durable_before > scan->lsn) {
            seen.later_offset = at;
            break;
        }
    }
    *tail = seen;
    return 0;
}

int scan_search(struct scan *scan, uint64_t limit)
{
    uint64_t end = scan->segment->header.file_bytes;
    for (uint64_t at = scan->offset; at < end; at += FORMAT_BLOCK) {
        const struct frame_header *frame;
        int got = load_frame(scan, at, &frame);
        if (got < 0)
            return got;
        if (got == 0 || frame->kind != FRAME_DATA || frame->first_lsn < scan->lsn ||
            frame->first_lsn + frame->payload_bytes > limit || !frame_records_fit(frame))
            continue;
        scan->offset = at;
        scan->lsn = frame->first_lsn;
        return 1;
    }
    return 0;
}

int scan_find_salt(struct segment *segment)
{
    struct scan scan = {0};
    int found = 0;
    scan_start(&scan, segment);
    for (uint64_t at = FORMAT_BLOCK; found == 0 && at < segment->header.file_bytes;
         at += FORMAT_BLOCK) {
        const void *block = NULL;
        const struct frame_header *frame;
        found = load(&scan, at, FORMAT_BLOCK, &block);
        if (found < 0 || block == NULL)
            break;
        segment->header.salt = ((const struct frame_header *)block)->salt;
        found = load_frame(&scan, at, &frame);
    }
    scan_close(&scan);
    return found == 0 ? -EBADMSG : found < 0 ? found : 0;
}

int scan_at_zeros(struct scan *scan)
{
    const void *block;
    if (scan->offset >= scan->segment->header.file_bytes)
        return 1;
    int error = load(scan, scan->offset, FORMAT_BLOCK, &block);
    return error < 0 ? error : is_zero(block);
}
