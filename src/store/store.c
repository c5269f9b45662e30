/* SPDX-License-Identifier: MIT
 * See store.h; tail.h for where frames go, and recovery.h for what stands on disk.
 *
 * The frames that are not durable yet form a queue, in the order of their LSNs. Its oldest is
 * durable once it has landed and its segment has a name; only then is the next one looked at.
 * If its write has failed, nothing more is issued: all others land, and the whole queue is written
 * once more, to a fresh segment that begins where the durable log ends. Some of those frames may
 * have landed well in the old segment; the fresh one cuts them off there. */
#include "store/store.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/shortage.h"
#include "store/probe.h"
#include "store/recovery.h"
#include "store/spare.h"
#include "store/tail.h"
#include "store/writer.h"
#include "sys/clock.h"
#include "sys/file.h"
#include "sys/listing.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

/* When prefilling pays: a segment that was not prefilled has taken so many frames, or the segment
 * is a quarter full; and frames are small, since large ones would only compete with the zeros. */
enum { FRAMES_WORTH_A_SPARE = 64, SMALL_FRAME_BYTES = 256 * 1024 };

/* A frame that is not durable yet. */
struct pending {
    struct frame_header *frame;
    enum frame_kind kind;
    uint64_t first_lsn, payload_bytes;
    uint64_t durable_before;
    uint32_t records;
    const struct segment *segment;
    uint64_t offset;
    bool flying; /* its writer has it */
    int result;  /* of the write, once it has landed */
    struct writer writer;
};

struct store {
    const struct directory *directory;
    struct spare *spare;
    struct tail tail;
    struct pending queue[STORE_FRAMES]; /* a circle; a place keeps its writer */
    unsigned oldest, count;
    uint64_t durable_lsn;   /* all before it is synced, and has its name */
    bool sealed;            /* the last frame is a seal */
    bool dead;              /* a write failed, and so did the one attempt elsewhere */
    uint64_t average_bytes; /* of recent frames' payloads */
};

static int name_log(const struct store *store, int error)
{
    return error < 0 ? fail_context(error, "%s", store->directory->path) : error;
}

unsigned store_in_flight(const struct store *store)
{
    return store->count;
}

uint64_t store_durable(const struct store *store)
{
    return store->durable_lsn;
}

/* ---- The queue ---- */

static struct pending *oldest(struct store *store)
{
    return &store->queue[store->oldest];
}

/* A frame at the end of the queue. */
static void push(struct store *store, struct frame_header *frame, enum frame_kind kind,
                 uint64_t payload_bytes, uint32_t records)
{
    INVARIANT(store->count < STORE_FRAMES);
    struct pending *pending = &store->queue[(store->oldest + store->count++) % STORE_FRAMES];
    pending->frame = frame;
    pending->kind = kind;
    pending->first_lsn = store->tail.end_lsn;
    pending->payload_bytes = payload_bytes;
    pending->records = records;
}

static void pop(struct store *store)
{
    store->oldest = (store->oldest + 1) % STORE_FRAMES;
    store->count--;
}

/* ---- One write ---- */

/* Runs on a writer's thread as well as on the owner's. */
static int write_pending(void *argument)
{
    struct pending *pending = argument;
    struct frame_header *frame = pending->frame;
    uint64_t used = sizeof *frame + pending->payload_bytes;
    uint64_t bytes = frame_file_bytes(pending->payload_bytes);
    memset((char *)frame + used, 0, bytes - used);
    frame_seal_header(frame, pending->kind, pending->first_lsn, pending->durable_before,
                      (uint64_t)clock_real_ns(), pending->payload_bytes, pending->records,
                      pending->segment->header.salt);
    return segment_write(pending->segment, frame, bytes, pending->offset);
}

/* Gives it its place, where it fits. */
static void place(struct store *store, struct pending *pending)
{
    INVARIANT(pending->first_lsn == store->tail.end_lsn);
    INVARIANT(tail_fits(&store->tail, pending->kind, frame_file_bytes(pending->payload_bytes)));
    pending->segment = tail_segment(&store->tail);
    pending->durable_before = store->durable_lsn;
    pending->offset = tail_take(&store->tail, pending->payload_bytes);
    pending->result = 0;
}

static void land(struct pending *pending)
{
    if (pending->flying)
        pending->result = writer_wait(&pending->writer);
    pending->flying = false;
}

/* The oldest has landed well: makes it count. */
static int confirm(struct store *store)
{
    struct pending *pending = oldest(store);
    if (store->tail.unnamed && pending->segment == tail_segment(&store->tail)) {
        int error = tail_name(&store->tail);
        if (error < 0)
            return error;
    }
    store->durable_lsn = pending->first_lsn + pending->payload_bytes;
    store->sealed = pending->kind == FRAME_SEAL;
    pop(store);
    return 0;
}

/* ---- Making room ---- */

/* A segment that was not prefilled is left early for one that is; the frames are small, so that
 * soon pays for itself. Not for a seal: perhaps nothing follows. */
static bool roll_early(const struct store *store, enum frame_kind kind)
{
    return kind == FRAME_DATA && store->count == 0 && !tail_is_prefilled(&store->tail) &&
           tail_segment(&store->tail)->header.first_lsn != store->tail.end_lsn &&
           store->average_bytes < SMALL_FRAME_BYTES && spare_ready(store->spare) == SPARE_PREFILLED;
}

/* Makes room if there is none for the frame. An early roll is a chance, not a need; and what fails
 * once is tried with another file. */
static int make_way(struct store *store, enum frame_kind kind, uint64_t bytes)
{
    int error = 0;
    while (error == 0 && store->tail.unnamed && !tail_fits(&store->tail, kind, bytes))
        error = store_settle(store);
    if (error < 0 || (tail_fits(&store->tail, kind, bytes) && !roll_early(store, kind)))
        return error;
    error = tail_roll(&store->tail);
    if (error < 0 && !is_shortage(error))
        error = tail_roll(&store->tail);
    if (error == 0)
        store->sealed = false;
    return is_shortage(error) && tail_fits(&store->tail, kind, bytes) ? 0 : error;
}

/* ---- When a write has failed ---- */

/* Writes the oldest to a segment that is not the one where it failed. */
static int write_again(struct store *store)
{
    struct pending *pending = oldest(store);
    int error = make_way(store, pending->kind, frame_file_bytes(pending->payload_bytes));
    if (error < 0)
        return error;
    place(store, pending);
    error = pending->result = write_pending(pending);
    return error < 0 ? error : confirm(store);
}

/* Blocks whose sync has failed are never tried again, since the kernel may have dropped what it
 * could not write: the queue goes, once, to a fresh segment. While there is no room for one it
 * stays as it is. */
static int rehome(struct store *store)
{
    int error = 0;
    for (unsigned i = 0; i < store->count; i++)
        land(&store->queue[(store->oldest + i) % STORE_FRAMES]);
    tail_retreat(&store->tail, store->durable_lsn);
    while (error == 0 && store->count > 0)
        error = write_again(store);
    if (error < 0) {
        oldest(store)->result = error;
        tail_retreat(&store->tail, store->durable_lsn);
    }
    store->dead = error < 0 && !is_shortage(error);
    return error;
}

/* The queue waits for room for a fresh segment. */
static bool stalled(const struct store *store)
{
    return store->count > 0 && store->queue[store->oldest].result < 0;
}

static int refuse_dead(void)
{
    return fail(EIO, "the device has failed before: nothing is written any more");
}

static int settle(struct store *store)
{
    struct pending *pending = oldest(store);
    if (store->dead)
        return refuse_dead();
    land(pending);
    if (pending->result == 0 && confirm(store) == 0)
        return 0;
    return rehome(store);
}

int store_settle(struct store *store)
{
    INVARIANT(store->count > 0);
    return name_log(store, settle(store));
}

/* ---- Writing ---- */

/* Asks for the next segment if the log is in use enough for one to be worth its space. */
static void consider_spare(struct store *store, uint64_t payload_bytes)
{
    const struct tail *tail = &store->tail;
    spare_note_frame(store->spare);
    store->average_bytes = (7 * store->average_bytes + payload_bytes) / 8;
    bool used = tail->offset > tail_segment(tail)->header.file_bytes / 4;
    bool small = store->average_bytes < SMALL_FRAME_BYTES;
    if (small && (used || (!tail_is_prefilled(tail) && tail->frames >= FRAMES_WORTH_A_SPARE)))
        spare_want(store->spare, SPARE_PREFILLED);
    else if (used)
        spare_want(store->spare, SPARE_ALLOCATED);
}

/* Puts a frame into the queue and gives it its place. */
static int enqueue(struct store *store, struct frame_header *frame, enum frame_kind kind,
                   uint64_t payload_bytes, uint32_t records)
{
    if (store->dead)
        return refuse_dead();
    int error = make_way(store, kind, frame_file_bytes(payload_bytes));
    if (error < 0) {
        store->dead = store->count == 0 && !is_shortage(error);
        return error;
    }
    push(store, frame, kind, payload_bytes, records);
    place(store, &store->queue[(store->oldest + store->count - 1) % STORE_FRAMES]);
    return 0;
}

static int enqueue_data(struct store *store, struct frame_header *frame, uint64_t first_lsn,
                        uint64_t payload_bytes, uint32_t records)
{
    frame->payload_bytes = payload_bytes;
    frame->records = records;
    INVARIANT(payload_bytes > 0 && records > 0); /* else no reader would accept it */
    if (payload_bytes > store_room_max(store))
        return fail(EMSGSIZE, "a frame of %llu bytes is larger than a segment",
                    (unsigned long long)payload_bytes);
    int error = stalled(store) ? settle(store) : 0;
    if (error < 0)
        return error;
    INVARIANT(first_lsn == store->tail.end_lsn);
    error = enqueue(store, frame, FRAME_DATA, payload_bytes, records);
    if (error == 0)
        consider_spare(store, payload_bytes);
    return error;
}

/* The write of the only frame in the queue, by this thread. If it cannot be, the frame is the
 * caller's again. */
static int write_now(struct store *store)
{
    struct pending *pending = oldest(store);
    pending->result = write_pending(pending);
    int error = settle(store);
    if (error < 0)
        pop(store);
    return error;
}

int store_write(struct store *store, struct frame_header *frame, uint64_t first_lsn,
                uint64_t payload_bytes, uint32_t records)
{
    INVARIANT(store->count == 0);
    int error = enqueue_data(store, frame, first_lsn, payload_bytes, records);
    return name_log(store, error < 0 ? error : write_now(store));
}

int store_issue(struct store *store, struct frame_header *frame, uint64_t first_lsn,
                uint64_t payload_bytes, uint32_t records)
{
    int error = enqueue_data(store, frame, first_lsn, payload_bytes, records);
    if (error < 0)
        return name_log(store, error);
    struct pending *pending = &store->queue[(store->oldest + store->count - 1) % STORE_FRAMES];
    pending->flying = true;
    writer_start(&pending->writer, write_pending, pending);
    return 0;
}

int store_idle(struct store *store)
{
    alignas(FORMAT_BLOCK) char block[FORMAT_BLOCK];
    INVARIANT(store->count == 0);
    if (store->sealed)
        return 0;
    int error = enqueue(store, (struct frame_header *)block, FRAME_SEAL, 0, 0);
    return name_log(store, error < 0 ? error : write_now(store));
}

uint64_t store_room(const struct store *store)
{
    return tail_room(&store->tail);
}

uint64_t store_room_max(const struct store *store)
{
    uint64_t room = store->directory->meta.segment_bytes - 3 * FORMAT_BLOCK;
    return (room - sizeof(struct frame_header)) / FORMAT_UNIT * FORMAT_UNIT;
}

const char *store_sync_method(const struct store *store)
{
    return probe_sync_name(store->tail.sync);
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
static int note_leftover(void *context, const char *name)
{
    struct store *store = context;
    const char *suffix = strrchr(name, '.');
    if (suffix != NULL && (strcmp(suffix, ".tmp") == 0 ||
                           (strcmp(suffix, SPARE_SUFFIX) == 0 && !spare_adopt(store->spare, name))))
        sys_unlinkat(store->directory->segments_fd, name);
    return 0;
}

static int open_at(struct store *store, uint64_t durable_lsn)
{
    const struct directory *directory = store->directory;
    struct recovery recovery;
    int error = recovery_run(directory, durable_lsn, &recovery);
    if (error < 0)
        return error;
    uint64_t bytes = directory->meta.segment_bytes;
    store->spare =
        spare_open(directory->segments_fd, bytes, spare_count(directory->meta.spare_bytes, bytes));
    if (store->spare == NULL)
        return fail(ENOMEM, "no memory to write a log");
    sys_list(directory->segments_fd, note_leftover, store);
    enum segment_sync sync = probe_sync(directory->segments_fd);
    error = tail_open(&store->tail, directory, store->spare, sync, &recovery);
    if (error < 0) {
        spare_close(store->spare);
        return error;
    }
    spare_start(store->spare, sync);
    store->durable_lsn = recovery.end_lsn;
    store->sealed =
        recovery.resume && tail_segment(&store->tail)->header.number == recovery.last.number;
    return 0;
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
    for (unsigned i = 0; i < STORE_FRAMES; i++)
        writer_open(&opened->queue[i].writer);
    *store = opened;
    return 0;
}

int store_close(struct store *store)
{
    if (store == NULL)
        return 0;
    for (unsigned i = 0; i < STORE_FRAMES; i++)
        writer_close(&store->queue[i].writer);
    int error = store->dead || store->count > 0 ? 0 : store_idle(store);
    tail_close(&store->tail);
    spare_close(store->spare);
    free(store);
    return error;
}
