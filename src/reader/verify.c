/* SPDX-License-Identifier: MIT
 *
 * Verifying a whole log: every header, every frame of every segment, and every record in it.
 *
 * A log that is being written is verified up to what was durable at the beginning. The walk checks
 * everything but the records' own checksums, which the frames' cover; here these are checked as
 * well.
 *
 * Knows walk, format, store, base. Changes with what shmwal_verification tells. */
#include "base/error.h"
#include "reader/walk.h"
#include "shmwal.h"
#include "sys/thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Where the strings of the last result stand. */
static _Thread_local struct {
    char segment[SEGMENT_NAME_BYTES];
    char reason[512];
} last_damage;

struct progress {
    void (*call)(void *context, uint64_t done, uint64_t total);
    void *context;
    uint64_t segment_bytes;
};

/* In bytes of the files, all of them taken to be of the log's usual size. */
static void tell(const struct progress *progress, const struct walk *walk)
{
    uint64_t total = walk->catalog.count * progress->segment_bytes;
    uint64_t done = (walk->listed - 1) * progress->segment_bytes + walk->scan.offset;
    if (progress->call != NULL)
        progress->call(progress->context, done < total ? done : total, total);
}

static void tell_end(const struct progress *progress, const struct walk *walk)
{
    uint64_t total = walk->catalog.count * progress->segment_bytes;
    if (progress->call != NULL)
        progress->call(progress->context, total, total);
}

/* Counts the frame's records that are no fillers; false if one does not validate by itself, which
 * no frame of a correct flusher has. */
static bool count_records(const struct frame_header *frame, uint64_t *count)
{
    const char *payload = (const char *)(frame + 1);
    for (uint64_t done = 0; done < frame->payload_bytes;) {
        const struct record_header *record =
            record_validate(payload + done, frame->payload_bytes - done, frame->first_lsn + done);
        if (record == NULL)
            return false;
        *count += record->type != RECORD_FILLER;
        done += record_span(record->length);
    }
    return true;
}

static int verify_frame(struct walk *walk, const struct frame_header *frame,
                        shmwal_verification *result)
{
    uint64_t records = 0;
    if (!count_records(frame, &records))
        return walk_refuse(walk, walk->scan.offset - frame_file_bytes(frame->payload_bytes),
                           frame->first_lsn,
                           "a record of the frame that stands there does not match its checksum");
    result->records += records;
    result->last_lsn = walk_lsn(walk);
    return 0;
}

static void set_damage(shmwal_verification *result, bool torn, const char *segment,
                       const char *reason, uint64_t offset, uint64_t lsn)
{
    snprintf(last_damage.segment, sizeof last_damage.segment, "%s", segment);
    snprintf(last_damage.reason, sizeof last_damage.reason, "%s", reason);
    result->torn = torn;
    result->damaged = !torn;
    result->damage = (shmwal_damage){
        .segment = last_damage.segment, .reason = last_damage.reason, .offset = offset, .lsn = lsn};
}

static int verify_walk(struct walk *walk, const struct progress *progress,
                       shmwal_verification *result)
{
    const struct frame_header *frame;
    int got;
    walk->end_lsn = walk->bound;
    result->first_lsn = walk_lsn(walk);
    result->last_lsn = result->first_lsn;
    while ((got = walk_next(walk, &frame)) == 1) {
        got = verify_frame(walk, frame, result);
        if (got < 0)
            break;
        tell(progress, walk);
    }
    if (walk->finding != WALK_INTACT)
        set_damage(result, walk->finding == WALK_TORN, walk->where, walk->reason,
                   walk->finding_offset, walk->finding_lsn);
    if (got == 0 || got == -EBADMSG)
        tell_end(progress, walk);
    return got;
}

static int verify(const char *path, struct progress *progress, shmwal_verification *result)
{
    struct directory directory;
    struct walk walk;
    int error = directory_open(path, false, &directory);
    if (error < 0)
        return error;
    progress->segment_bytes = directory.meta.segment_bytes;
    error = walk_open(&walk, &directory, 0);
    if (error == 0) {
        error = verify_walk(&walk, progress, result);
        walk_close(&walk);
    }
    directory_close(&directory);
    return error;
}

SHMWAL_API int shmwal_verify(const char *path, shmwal_verification *result,
                             void (*progress)(void *context, uint64_t done, uint64_t total),
                             void *context)
{
    NOT_CANCELLED;
    struct progress report = {.call = progress, .context = context};
    shmwal_verification found = {.size = sizeof found};
    if (path == NULL || result == NULL || result->size != sizeof *result)
        return fail(EINVAL, "shmwal_verify needs a path, and a result with its size set");
    int error = verify(path, &report, &found);
    if (error == -EBADMSG && !found.damaged) /* there was no segment to begin with */
        set_damage(&found, false, "", fail_sentence(), 0, 0);
    if (error < 0 && error != -EBADMSG)
        return error;
    *result = found;
    return 0;
}
