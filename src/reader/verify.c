/* SPDX-License-Identifier: MIT
 *
 * Verifying a whole log: every frame of every segment, and every record in it.
 *
 * Knows walk, format, store, base. */
#include "base/error.h"
#include "reader/walk.h"
#include "shmwal.h"
#include "store/catalog.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Where the strings of the last result stand. */
static _Thread_local struct {
    char segment[SEGMENT_NAME_BYTES];
    char reason[160];
} last_damage;

struct progress {
    void (*call)(void *context, uint64_t done, uint64_t total);
    void *context;
    uint64_t first_lsn, end_lsn;
};

/* The end is not known before it is read; the last segment's room stands in for it. */
static void tell(const struct progress *progress, uint64_t lsn)
{
    if (progress->call != NULL)
        progress->call(progress->context, lsn - progress->first_lsn,
                       progress->end_lsn - progress->first_lsn);
}

/* How many records of the frame are no fillers; -1 if one does not validate by itself, which a valid
 * frame of a correct flusher never has. */
static int64_t count_records(const struct frame_header *frame)
{
    const char *payload = (const char *)(frame + 1);
    int64_t count = 0;
    for (uint64_t done = 0; done < frame->payload_bytes;) {
        const struct record_header *record =
            record_validate(payload + done, frame->payload_bytes - done, frame->first_lsn + done);
        if (record == NULL)
            return -1;
        count += record->type != RECORD_FILLER;
        done += record_span(record->length);
    }
    return count;
}

static void set_damage(const struct walk *walk, shmwal_verification *result)
{
    memcpy(last_damage.segment, walk->where, sizeof last_damage.segment);
    memcpy(last_damage.reason, walk->reason, sizeof last_damage.reason);
    result->torn = walk->finding == WALK_TORN;
    result->damaged = walk->finding == WALK_DAMAGED;
    result->damage = (shmwal_damage){.segment = last_damage.segment,
                                     .reason = last_damage.reason,
                                     .offset = walk->finding_offset,
                                     .lsn = walk->finding_lsn};
}

static int verify_frames(struct walk *walk, const struct progress *progress,
                         shmwal_verification *result)
{
    const struct frame_header *frame;
    int got;
    while ((got = walk_next(walk, &frame)) == 1) {
        int64_t records = count_records(frame);
        if (records < 0) {
            walk->finding = WALK_DAMAGED;
            walk->finding_lsn = frame->first_lsn;
            walk->finding_offset = walk->scan.offset - frame_file_bytes(frame->payload_bytes);
            memcpy(walk->where, walk->segment.name, sizeof walk->where);
            snprintf(walk->reason, sizeof walk->reason,
                     "a record in this frame does not match its own checksum");
            got = -EBADMSG;
            break;
        }
        result->records += (uint64_t)records;
        tell(progress, walk_lsn(walk));
    }
    result->last_lsn = walk->finding == WALK_DAMAGED ? walk->finding_lsn : walk_lsn(walk);
    if (walk->finding != WALK_INTACT)
        set_damage(walk, result);
    return got == -EBADMSG && result->damaged ? 0 : got;
}

static int verify(const struct directory *directory, struct progress *progress,
                  shmwal_verification *result)
{
    struct catalog catalog;
    struct walk walk;
    int error = catalog_open(directory, &catalog);
    if (error < 0)
        return error;
    result->first_lsn = catalog_first_lsn(&catalog);
    progress->first_lsn = result->first_lsn;
    progress->end_lsn = catalog.first_lsns[catalog.count - 1] + directory->meta.segment_bytes;
    catalog_close(&catalog);
    error = walk_open(&walk, directory, 0);
    if (error < 0)
        return error;
    error = verify_frames(&walk, progress, result);
    if (error == 0 && progress->call != NULL && !result->damaged)
        progress->call(progress->context, 1, 1);
    walk_close(&walk);
    return error;
}

SHMWAL_API int shmwal_verify(const char *path, shmwal_verification *result,
                             void (*progress)(void *context, uint64_t done, uint64_t total),
                             void *context)
{
    struct directory directory;
    struct progress report = {.call = progress, .context = context};
    shmwal_verification found = {.size = sizeof found};
    if (path == NULL || result == NULL || result->size != sizeof *result)
        return fail(EINVAL, "shmwal_verify needs a path, and a result with its size set");
    int error = directory_open(path, false, &directory);
    if (error < 0)
        return error;
    error = verify(&directory, &report, &found);
    directory_close(&directory);
    if (error == 0)
        *result = found;
    return error;
}
