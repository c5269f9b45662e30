/* SPDX-License-Identifier: MIT
 *
 * The public reader: a walk over the frames, and within a frame its records.
 *
 * Knows walk, format, store/directory.h, sys, base. Changes with the public header. */
#include "base/error.h"
#include "reader/walk.h"
#include "shmwal.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/thread.h"
#include "sys/watch.h"

#include <errno.h>
#include <stdlib.h>

/* A place within the current frame. */
struct place {
    const struct record_header *record;
    uint64_t lsn; /* where it begins */
    struct record_stride stride;
};

struct shmwal_reader {
    struct directory directory;
    struct walk walk;
    uint64_t from_lsn;  /* records that begin before it are not yielded */
    struct place place; /* of the next record */
    uint64_t frame_end; /* the place's LSN there: no record is left */
};

/* Makes the next frame the current one: 1; 0 at the end for now; or an error. */
static int load_frame(struct shmwal_reader *reader)
{
    const struct frame_header *frame;
    int got = walk_next(&reader->walk, &frame);
    if (got == 1) {
        reader->place = (struct place){.record = (const struct record_header *)(frame + 1),
                                       .lsn = frame->first_lsn,
                                       .stride = RECORD_STRIDE_INIT};
        reader->frame_end = frame->first_lsn + frame->payload_bytes;
    }
    return got;
}

static inline void pass_record(struct place *place)
{
    uint64_t span = record_stride(&place->stride, place->record->length);
    place->record = (const struct record_header *)((const char *)place->record + span);
    place->lsn += span;
}

static inline bool is_yielded(const struct shmwal_reader *reader, const struct place *place)
{
    return place->record->type != RECORD_FILLER && place->lsn >= reader->from_lsn;
}

/* Passes over what is not to be yielded; false if that was the rest of the frame. */
static bool find_record(struct shmwal_reader *reader)
{
    struct place *place = &reader->place;
    while (place->lsn < reader->frame_end && !is_yielded(reader, place))
        pass_record(place);
    return place->lsn < reader->frame_end;
}

/* Takes up to `capacity` records off the current frame; 0 if none is left that is to be
 * yielded. */
static inline __attribute__((always_inline)) size_t
take_records(struct shmwal_reader *reader, shmwal_record *records, size_t capacity)
{
    struct place place = reader->place;
    size_t count = 0;
    while (count < capacity && place.lsn < reader->frame_end) {
        const struct record_header *header = place.record;
        bool yielded = is_yielded(reader, &place);
        pass_record(&place);
        if (yielded)
            records[count++] = (shmwal_record){.data = header + 1,
                                               .length = header->length,
                                               .lsn = place.lsn,
                                               .type = header->type};
    }
    reader->place = place;
    return count;
}

SHMWAL_API int shmwal_reader_next_batch(shmwal_reader *reader, shmwal_record *records,
                                        size_t capacity)
{
    NOT_CANCELLED;
    if (reader == NULL || records == NULL || capacity == 0)
        return fail(EINVAL, "shmwal_reader_next_batch needs a reader and room for records");
    if (capacity > INT32_MAX)
        capacity = INT32_MAX;
    for (;;) {
        size_t count = take_records(reader, records, capacity);
        if (count > 0) /* all of one frame: loading the next would invalidate them */
            return (int)count;
        int got = load_frame(reader);
        if (got != 1)
            return got;
    }
}

SHMWAL_API int shmwal_reader_next(shmwal_reader *reader, shmwal_record *record)
{
    if (reader == NULL || record == NULL)
        return fail(EINVAL, "shmwal_reader_next needs a reader and room for a record");
    if (take_records(reader, record, 1) == 1)
        return 1;
    return shmwal_reader_next_batch(reader, record, 1);
}

/* Goes to the frame that `from_lsn` lies in. Damage on the way is left for the first read to
 * report. */
static int seek(struct shmwal_reader *reader)
{
    int error = walk_skip(&reader->walk, reader->from_lsn);
    int got = error < 0 ? error : 1;
    while (got == 1 && walk_lsn(&reader->walk) < reader->from_lsn)
        got = load_frame(reader);
    if (got == 0)
        return fail(ERANGE, "%s ends at LSN %llu, before LSN %llu", reader->directory.path,
                    (unsigned long long)walk_lsn(&reader->walk),
                    (unsigned long long)reader->from_lsn);
    return got < 0 && got != -EBADMSG ? got : 0;
}

/* What shmwal_reader_open() does once the directory is open. */
static int open_walk(struct shmwal_reader *reader, uint64_t from_lsn)
{
    reader->from_lsn = from_lsn;
    int error = walk_open(&reader->walk, &reader->directory, from_lsn);
    if (error < 0)
        return error;
    error = seek(reader);
    if (error < 0)
        walk_close(&reader->walk);
    return error;
}

SHMWAL_API int shmwal_reader_open(const char *path, uint64_t from_lsn, shmwal_reader **reader)
{
    NOT_CANCELLED;
    if (path == NULL || reader == NULL)
        return fail(EINVAL, "shmwal_reader_open needs a path and a place for the reader");
    shmwal_reader *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL)
        return fail(ENOMEM, "no memory for a reader");
    int error = directory_open(path, false, &fresh->directory);
    if (error < 0) {
        free(fresh);
        return error;
    }
    error = open_walk(fresh, from_lsn);
    if (error < 0) {
        directory_close(&fresh->directory);
        free(fresh);
        return error;
    }
    *reader = fresh;
    return 0;
}

/* How often a log without a ring is looked at where its lock file cannot be watched. */
enum { LOOK_AGAIN_MS = 100 };

/* Whoever makes a ring touches the lock file (region/region.c). That is watched before the log is
 * looked at, so that neither a ring nor what one left behind is missed. Returns what load_frame()
 * does. */
static int wait_for_ring(struct shmwal_reader *reader, int64_t deadline)
{
    int64_t now = clock_monotonic_ns();
    int64_t look = now + LOOK_AGAIN_MS * NS_PER_MS;
    int watch = sys_watch_open(reader->directory.fd, "lock");
    int got = load_frame(reader);
    if (got == 0 && now >= deadline)
        got = -ETIMEDOUT;
    if (got == 0 && reader->walk.bound == FORMAT_LSN_NONE)
        sys_watch_wait(watch, watch >= 0 || look > deadline ? deadline : look);
    if (watch >= 0)
        sys_close(watch);
    return got;
}

static int wait_for_more(struct shmwal_reader *reader, int64_t deadline)
{
    struct walk *walk = &reader->walk;
    while (!find_record(reader)) {
        int got = load_frame(reader);
        if (got == 0 && walk->bound == FORMAT_LSN_NONE)
            got = wait_for_ring(reader, deadline);
        else if (got == 0)
            got = region_view_wait(&walk->view, walk_lsn(walk), deadline);
        if (got < 0)
            return got;
    }
    return 0;
}

SHMWAL_API int shmwal_reader_wait(shmwal_reader *reader, int64_t timeout_ns)
{
    NOT_CANCELLED;
    if (reader == NULL)
        return fail(EINVAL, "shmwal_reader_wait needs a reader");
    int got = wait_for_more(reader, deadline_from_timeout(timeout_ns));
    if (got == -ETIMEDOUT)
        return fail(ETIMEDOUT, "%s: nothing came behind LSN %llu within %.3f s",
                    reader->directory.path, (unsigned long long)walk_lsn(&reader->walk),
                    (double)timeout_ns / 1e9);
    return got;
}

SHMWAL_API int shmwal_reader_damage(const shmwal_reader *reader, shmwal_damage *damage)
{
    if (reader == NULL || reader->walk.finding == WALK_INTACT)
        return 0;
    if (damage != NULL)
        *damage = (shmwal_damage){.segment = reader->walk.where,
                                  .reason = reader->walk.reason,
                                  .offset = reader->walk.finding_offset,
                                  .lsn = reader->walk.finding_lsn};
    return 1;
}

SHMWAL_API int shmwal_reader_salvage(shmwal_reader *reader, shmwal_hole *hole)
{
    NOT_CANCELLED;
    if (reader == NULL || hole == NULL)
        return fail(EINVAL, "shmwal_reader_salvage needs a reader and room for a hole");
    struct walk *walk = &reader->walk;
    int got = walk_salvage(walk);
    if (got < 0)
        return got;
    *hole = (shmwal_hole){.begin = {.segment = walk->where,
                                    .reason = walk->reason,
                                    .offset = walk->finding_offset,
                                    .lsn = walk->finding_lsn},
                          .end_segment = got == 1 ? walk->segment.name : "",
                          .end_offset = got == 1 ? walk->scan.offset : 0,
                          .end_lsn = got == 1 ? walk->scan.lsn : UINT64_MAX};
    return got;
}

SHMWAL_API int shmwal_reader_close(shmwal_reader *reader)
{
    NOT_CANCELLED;
    if (reader == NULL)
        return 0;
    walk_close(&reader->walk);
    directory_close(&reader->directory);
    free(reader);
    return 0;
}
