/* SPDX-License-Identifier: MIT
 *
 * From the ring into a frame: copy once, validate the copy.
 *
 * A producer may have gone mad and store into any byte of the ring at any time, so nothing that was
 * read there is read twice: lengths are taken from the private copy. What does not validate becomes
 * one filler of the extent's size, and is counted.
 *
 * The frame grows while records are finished. Nothing waits for more by the clock: while frames are
 * in flight the next one's records pile up in the ring, and that is all the batching there is. */
#include "flusher/flusher.h"

#include "ring/mend.h"
#include "ring/ring.h"

#include <string.h>

/* What may be in flight at a time, but for a single extent that is larger. */
enum { FLIGHT_BYTES = STORE_FRAMES * FRAME_BYTES };

enum { ROOM_WORTH_USING = 64 * 1024 };

/* How much is copied and then validated at a time: what fits well into a near cache. */
enum { BATCH_EXTENTS = 256, BATCH_BYTES = 32 * 1024 };

static struct frame_header *frame(const struct flusher *flusher)
{
    return flusher->frames[flusher->turn];
}

static char *frame_end(const struct flusher *flusher)
{
    return (char *)(frame(flusher) + 1) + (flusher->gathered - flusher->issued);
}

/* How many valid records fill exactly `span` bytes of the copy; 0 if they do not. */
static uint32_t count_valid(const char *copy, uint64_t span, uint64_t lsn)
{
    uint32_t records = 0;
    for (uint64_t done = 0; done < span; records++) {
        const struct record_header *record = record_validate(copy + done, span - done, lsn + done);
        if (record == NULL || record->type == RECORD_FILLER)
            return 0;
        done += record_span(record->length);
    }
    return records;
}

static void note_invalid(struct flusher *flusher, struct ring_header header, uint64_t span)
{
    uint64_t owner = ring_extent_owner(header.extent);
    uint64_t count = atomic_fetch_add(&flusher->region.state->fillers_invalid, 1) + 1;
    if (journal_worth(count))
        journal("LSN %llu: %llu bytes of producer %llu are no valid record and were replaced by a "
                "filler (%llu so far); that process stores into memory that is not its own",
                (unsigned long long)ring_header_lsn(header), (unsigned long long)span,
                (unsigned long long)owner, (unsigned long long)count);
}

/* Whether the extent at `gathered` is as long as its header says, as far as its neighbours show. If
 * not, to fill it would fill what others have committed. */
static bool has_neighbours(const struct flusher *flusher)
{
    return ring_examine(&flusher->region.region.ring, flusher->gathered, flusher->span_max) ==
           RING_FINISHED;
}

/* What was finished when it was looked at: extents, end to end. */
struct batch {
    uint64_t bytes;
    unsigned count;
    struct ring_header headers[BATCH_EXTENTS];
};

/* Makes the copy of an extent what is to be written. False if it must not be taken: orphan.c sees
 * to it. */
static bool settle_extent(struct flusher *flusher, struct ring_header header)
{
    char *copy = frame_end(flusher);
    uint64_t lsn = flusher->gathered, span = ring_extent_span(header.extent);
    uint32_t records = 0;
    if (ring_header_state(header) == RING_COMMITTED)
        records = count_valid(copy, span, lsn);
    if (records == 0) {
        if (!has_neighbours(flusher))
            return false;
        if (ring_header_state(header) == RING_COMMITTED)
            note_invalid(flusher, header, span);
        record_write_filler(copy, span, (uint32_t)ring_extent_owner(header.extent), lsn);
        records = 1;
    }
    flusher->records += records;
    flusher->gathered += span;
    return true;
}

/* Copied in one go: the memory of a ring is far away, in the caches of producers, and comes faster
 * so than record by record. False if nothing more may be taken. */
static bool take_batch(struct flusher *flusher, const struct batch *batch)
{
    const struct ring *ring = &flusher->region.region.ring;
    memcpy(frame_end(flusher), ring_at(ring, flusher->gathered), batch->bytes);
    for (unsigned i = 0; i < batch->count; i++)
        if (!settle_extent(flusher, batch->headers[i]))
            return false;
    return batch->count > 0;
}

/* What the frame may grow to now. A segment's small rest is left unused rather than to cut frames
 * short. */
static uint64_t frame_limit(const struct flusher *flusher)
{
    uint64_t room = store_room(flusher->store);
    uint64_t room_max = store_room_max(flusher->store);
    uint64_t limit = FRAME_BYTES - sizeof(struct frame_header);
    if (limit > room_max)
        limit = room_max;
    return room >= ROOM_WORTH_USING && room < limit ? room : limit;
}

/* Whether an extent goes into the frame behind `used` bytes: one that is larger than any frame
 * should be makes a frame of its own, and then less is in flight beside it. */
static bool has_room(const struct flusher *flusher, uint64_t used, uint64_t span, uint64_t limit)
{
    uint64_t in_flight = flusher->issued - store_durable(flusher->store);
    if (used + span <= limit)
        return true;
    return used == 0 && span <= flusher->frame_capacity &&
           (in_flight == 0 || in_flight + span <= FLIGHT_BYTES);
}

/* Finds what is finished in the ring and fits into the frame. */
static void find_batch(struct flusher *flusher, uint64_t end, uint64_t limit, struct batch *batch)
{
    const struct ring *ring = &flusher->region.region.ring;
    uint64_t lsn = flusher->gathered;
    batch->count = 0;
    while (lsn < end && batch->count < BATCH_EXTENTS && lsn - flusher->gathered < BATCH_BYTES) {
        struct ring_header header = ring_read(ring, lsn);
        uint64_t span = ring_extent_span(header.extent);
        bool finished =
            ring_header_lsn(header) == lsn && ring_header_state(header) >= RING_COMMITTED;
        if (!finished || span == 0 || span > end - lsn || span > flusher->span_max)
            break;
        flusher->full = !has_room(flusher, lsn - flusher->issued, span, limit);
        if (flusher->full)
            break;
        batch->headers[batch->count++] = header;
        lsn += span;
    }
    batch->bytes = lsn - flusher->gathered;
}

void gather(struct flusher *flusher)
{
    struct batch batch;
    if (store_in_flight(flusher->store) == STORE_FRAMES)
        return;
    uint64_t limit = frame_limit(flusher);
    uint64_t end = ring_end(&flusher->region.region.ring);
    do
        find_batch(flusher, end, limit, &batch);
    while (take_batch(flusher, &batch));
}
