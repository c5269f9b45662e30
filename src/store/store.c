/* SPDX-License-Identifier: MIT
 * See store.h, and recovery.h for what stands on disk.
 *
 * Rolling, in this order; a crash between any two leaves a log that recovery accepts:
 *
 *   1  a spare file is taken, or a new one allocated
 *   2  its header is written and synced                the old segment is still the last one
 *   3  it is renamed to what its first LSN asks for    from here on it cuts the old one off
 *   4  the directory is synced                         now it cannot be lost silently, but for
 *   5  a roll mark ends the old segment, synced        a successor that vanishes: now that is seen
 *   6  frames go to the new one
 *
 * A segment keeps room behind its frames for a seal and a roll mark. */
#include "store/store.h"

#include "base/assert.h"
#include "base/error.h"
#include "store/probe.h"
#include "store/recovery.h"
#include "store/spare.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/listing.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

static const char FRESH_NAME[] = "next.tmp";

/* When prefilling pays: a segment that was not prefilled has taken so many frames, or the segment
 * is a quarter full; and frames are small, since large ones would only compete with the zeros. */
enum { FRAMES_WORTH_A_SPARE = 64, SMALL_FRAME_BYTES = 256 * 1024 };

struct store {
    const struct directory *directory;
    enum segment_sync sync;
    struct spare *spare;

    struct segment segment; /* the last one, to which frames go */
    uint64_t offset;        /* where the next frame goes */
    uint64_t end_lsn;       /* where it begins */
    uint64_t durable_lsn;   /* all before it is synced; one frame is in flight at a time */
    uint64_t next_number;   /* above every number used */
    bool sealed;            /* the last frame is a seal */
    bool prefilled;         /* the segment's blocks were written before */
    bool abandoned;         /* the segment takes no more frames, not even a mark */
    bool dead;              /* a write failed, and so did the one attempt elsewhere */
    uint64_t frames;        /* written to this segment */
    uint64_t average_bytes; /* of recent frames' payloads */
};

static bool is_no_room(int error)
{
    return error == -ENOSPC || error == -EDQUOT;
}

static int name_log(const struct store *store, int error)
{
    return error < 0 ? fail_context(error, "%s", store->directory->path) : error;
}

/* ---- Beginning a segment ---- */

/* Where the last segment holds nothing, the new one takes its place, name included. */
static struct segment_header describe_next(const struct store *store)
{
    const struct segment_header *old = &store->segment.header;
    struct segment_header next = {
        .number = store->next_number,
        .first_lsn = store->end_lsn,
        .previous_first_lsn =
            old->first_lsn == store->end_lsn ? old->previous_first_lsn : old->first_lsn,
        .file_bytes = store->directory->meta.segment_bytes,
    };
    memcpy(next.uuid, store->directory->meta.uuid, sizeof next.uuid);
    return next;
}

static int create_file(struct store *store, struct segment *segment, bool *prefilled)
{
    struct segment_header wanted = describe_next(store);
    int fd = store->directory->segments_fd;
    *prefilled = spare_ready(store->spare);
    store->next_number++;
    if (!*prefilled)
        return segment_create(fd, FRESH_NAME, false, &wanted, store->sync, segment);
    int error = segment_create(fd, SPARE_NAME, true, &wanted, store->sync, segment);
    if (error < 0)
        spare_taken(store->spare);
    return error;
}

/* Steps 3 and 4. */
static int name_file(struct store *store, const struct segment *segment, bool prefilled)
{
    int fd = store->directory->segments_fd;
    const char *temporary = prefilled ? SPARE_NAME : FRESH_NAME;
    int error = sys_renameat(fd, temporary, fd, segment->name);
    if (error < 0)
        sys_unlinkat(fd, temporary);
    if (prefilled)
        spare_taken(store->spare);
    if (error < 0)
        return fail_errno(-error, "cannot name segment %s", segment->name);
    store->abandoned = true;
    error = sys_fsync(fd);
    if (error == -EINVAL) /* a file system that cannot sync a directory */
        return 0;
    return error < 0 ? fail_errno(-error, "cannot sync the directory segments") : 0;
}

/* Puts a new segment behind end_lsn: steps 1 to 4, and 6. The old one goes to *old, still open. */
static int begin_segment(struct store *store, struct segment *old)
{
    struct segment fresh;
    bool prefilled;
    int error = create_file(store, &fresh, &prefilled);
    if (error < 0)
        return error;
    error = name_file(store, &fresh, prefilled);
    if (error < 0) {
        segment_close(&fresh);
        return error;
    }
    *old = store->segment;
    store->segment = fresh;
    store->offset = FORMAT_BLOCK;
    store->prefilled = prefilled;
    store->frames = 0;
    store->sealed = false;
    store->abandoned = false;
    return 0;
}

/* Leaves a segment that does not take the next frame for a new one. That the roll mark cannot be
 * written is no failure: the successor is there, only its loss would not be seen. */
static int roll(struct store *store)
{
    struct segment old;
    uint64_t offset = store->offset;
    bool mark = !store->abandoned && offset < store->segment.header.file_bytes &&
                store->segment.header.first_lsn != store->end_lsn;
    int error = begin_segment(store, &old);
    if (error < 0)
        return error;
    if (mark && segment_write_mark(&old, FRAME_ROLL, offset, store->end_lsn) == 0)
        segment_release_tail(&old, offset + FORMAT_BLOCK);
    segment_close(&old);
    return 0;
}

/* ---- Writing ---- */

/* How far frames may go: two blocks are kept for a seal and a roll mark. */
static uint64_t frames_end(const struct store *store)
{
    return store->segment.header.file_bytes - 2 * FORMAT_BLOCK;
}

static bool fits(const struct store *store, enum frame_kind kind, uint64_t bytes)
{
    uint64_t end = frames_end(store) + (kind == FRAME_SEAL ? FORMAT_BLOCK : 0);
    return !store->abandoned && store->offset + bytes <= end;
}

/* A segment that was not prefilled is left early for one that is; the frames are small, so that
 * soon pays for itself. */
static bool roll_early(const struct store *store)
{
    return !store->prefilled && store->segment.header.first_lsn != store->end_lsn &&
           store->average_bytes < SMALL_FRAME_BYTES && spare_ready(store->spare);
}

static int write_here(struct store *store, struct frame_header *frame, enum frame_kind kind,
                      uint64_t payload_bytes, uint32_t records)
{
    uint64_t bytes = frame_file_bytes(payload_bytes);
    INVARIANT(fits(store, kind, bytes));
    frame_seal_header(frame, kind, store->end_lsn, store->durable_lsn, (uint64_t)clock_real_ns(),
                      payload_bytes, records, store->segment.header.salt);
    size_t used = sizeof *frame + payload_bytes;
    memset((char *)frame + used, 0, bytes - used);
    int error = segment_write(&store->segment, frame, bytes, store->offset);
    if (error < 0)
        return error;
    store->offset += bytes;
    store->end_lsn += payload_bytes;
    store->durable_lsn = store->end_lsn;
    store->sealed = kind == FRAME_SEAL;
    store->frames++;
    return 0;
}

/* Makes room if there is none for the frame. An early roll is a chance, not a need. */
static int make_way(struct store *store, enum frame_kind kind, uint64_t bytes)
{
    bool needed = !fits(store, kind, bytes);
    if (!needed && !roll_early(store))
        return 0;
    int error = roll(store);
    return is_no_room(error) && fits(store, kind, bytes) ? 0 : error;
}

/* The frame goes where it belongs or, once, to a fresh segment: blocks whose sync has failed are
 * never tried again, since the kernel may have dropped what it could not write. */
static int write_frame(struct store *store, struct frame_header *frame, enum frame_kind kind,
                       uint64_t payload_bytes, uint32_t records)
{
    if (store->dead)
        return fail(EIO, "the device has failed before: nothing is written any more");
    int error = make_way(store, kind, frame_file_bytes(payload_bytes));
    if (error == 0)
        error = write_here(store, frame, kind, payload_bytes, records);
    if (error < 0 && !is_no_room(error)) {
        store->abandoned = true;
        error = roll(store);
        if (error == 0)
            error = write_here(store, frame, kind, payload_bytes, records);
    }
    store->dead = error < 0 && !is_no_room(error);
    return error;
}

/* Asks for a prefilled segment if the log is in use enough for one to pay. */
static void consider_spare(struct store *store, uint64_t payload_bytes)
{
    store->average_bytes = (7 * store->average_bytes + payload_bytes) / 8;
    bool used = store->offset > store->segment.header.file_bytes / 4 ||
                (!store->prefilled && store->frames >= FRAMES_WORTH_A_SPARE);
    if (used && store->average_bytes < SMALL_FRAME_BYTES)
        spare_want(store->spare);
}

int store_write(struct store *store, struct frame_header *frame, uint64_t first_lsn,
                uint64_t payload_bytes, uint32_t records)
{
    INVARIANT(first_lsn == store->end_lsn);
    frame->payload_bytes = payload_bytes;
    frame->records = records;
    INVARIANT(payload_bytes > 0 && frame_records_fit(frame)); /* else no reader would accept it */
    if (payload_bytes > store_room_max(store))
        return fail(EMSGSIZE, "%s: a frame of %llu bytes is larger than a segment",
                    store->directory->path, (unsigned long long)payload_bytes);
    int error = write_frame(store, frame, FRAME_DATA, payload_bytes, records);
    if (error == 0)
        consider_spare(store, payload_bytes);
    return name_log(store, error);
}

int store_idle(struct store *store)
{
    alignas(FORMAT_BLOCK) char block[FORMAT_BLOCK];
    if (store->sealed)
        return 0;
    return name_log(store, write_frame(store, (struct frame_header *)block, FRAME_SEAL, 0, 0));
}

uint64_t store_room(const struct store *store)
{
    uint64_t end = frames_end(store);
    if (store->abandoned || store->offset >= end)
        return 0;
    uint64_t room = end - store->offset - sizeof(struct frame_header);
    return room / FORMAT_UNIT * FORMAT_UNIT;
}

uint64_t store_room_max(const struct store *store)
{
    uint64_t room = store->directory->meta.segment_bytes - 3 * FORMAT_BLOCK;
    return (room - sizeof(struct frame_header)) / FORMAT_UNIT * FORMAT_UNIT;
}

const char *store_sync_method(const struct store *store)
{
    return probe_sync_name(store->sync);
}

/* ---- Opening ---- */

int store_find_end(const struct directory *directory, uint64_t *end_lsn)
{
    struct recovery recovery;
    int error = recovery_run(directory, FORMAT_LSN_NONE, &recovery);
    if (error < 0)
        return fail_context(error, "%s", directory->path);
    *end_lsn = recovery.end_lsn;
    return 0;
}

/* Files that never became segments. */
static int remove_leftover(void *context, const char *name)
{
    const char *suffix = strrchr(name, '.');
    if (suffix != NULL && (strcmp(suffix, ".tmp") == 0 || strcmp(suffix, ".spare") == 0))
        sys_unlinkat(*(const int *)context, name);
    return 0;
}

/* Leaves the last segment as it is and begins another one at the cut. What lay behind the cut can
 * never become valid again, so its space may go. */
static int cut(struct store *store)
{
    struct segment old;
    uint64_t offset = store->offset;
    int error = begin_segment(store, &old);
    if (error < 0)
        return error;
    segment_release_tail(&old, offset);
    segment_close(&old);
    return 0;
}

static int resume_or_cut(struct store *store, const struct recovery *recovery)
{
    const struct directory *directory = store->directory;
    int error = segment_open(directory->segments_fd, recovery->last.first_lsn, directory->meta.uuid,
                             SEGMENT_WRITE, store->sync, &store->segment);
    if (error < 0)
        return error;
    store->offset = recovery->end_offset;
    store->end_lsn = store->durable_lsn = recovery->end_lsn;
    store->next_number = recovery->last.number + 1;
    store->sealed = recovery->verdict == RECOVERY_SEALED;
    if (recovery->resume)
        return 0;
    error = cut(store);
    if (error < 0)
        segment_close(&store->segment);
    return error;
}

static int open_at(struct store *store, uint64_t durable_lsn)
{
    const struct directory *directory = store->directory;
    struct recovery recovery;
    int error = recovery_run(directory, durable_lsn, &recovery);
    if (error < 0)
        return error;
    sys_list(directory->segments_fd, remove_leftover, (void *)&directory->segments_fd);
    store->sync = probe_sync(directory->segments_fd);
    store->spare = spare_open(directory->segments_fd, directory->meta.segment_bytes, store->sync);
    if (store->spare == NULL)
        return fail(ENOMEM, "no memory to write a log");
    error = resume_or_cut(store, &recovery);
    if (error < 0)
        spare_close(store->spare);
    return error;
}

int store_open(const struct directory *directory, uint64_t durable_lsn, struct store **store)
{
    struct store *opened = calloc(1, sizeof *opened);
    if (opened == NULL)
        return fail(ENOMEM, "no memory to write a log");
    opened->directory = directory;
    int error = name_log(opened, open_at(opened, durable_lsn));
    if (error < 0) {
        free(opened);
        return error;
    }
    *store = opened;
    return 0;
}

int store_close(struct store *store)
{
    if (store == NULL)
        return 0;
    int error = store->dead ? 0 : store_idle(store);
    spare_close(store->spare);
    segment_close(&store->segment);
    free(store);
    return error;
}
