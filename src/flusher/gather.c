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

/* False if it must not be taken: orphan.c sees to it. */
static bool take_extent(struct flusher *flusher, struct ring_header header)
{
    char *copy = frame_end(flusher);
    uint64_t lsn = flusher->gathered, span = ring_extent_span(header.extent);
    uint32_t records = 0;
    if (ring_header_state(header) == RING_COMMITTED) {
        memcpy(copy, ring_at(&flusher->region.region.ring, lsn), span);
        records = count_valid(copy, span, lsn);
    }
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

/* Whether an extent goes into the frame: one that is larger than any frame should be makes a frame
 * of its own, and then less is in flight beside it. */
static bool has_room(const struct flusher *flusher, uint64_t span, uint64_t limit)
{
    uint64_t used = flusher->gathered - flusher->issued;
    uint64_t in_flight = flusher->issued - store_durable(flusher->store);
    if (used + span <= limit)
        return true;
    return used == 0 && span <= flusher->frame_capacity &&
           (in_flight == 0 || in_flight + span <= FLIGHT_BYTES);
}

void gather(struct flusher *flusher)
{
    const struct ring *ring = &flusher->region.region.ring;
    if (store_in_flight(flusher->store) == STORE_FRAMES)
        return;
    uint64_t limit = frame_limit(flusher);
    uint64_t end = ring_end(ring);
    while (flusher->gathered < end) {
        struct ring_header header = ring_read(ring, flusher->gathered);
        uint64_t span = ring_extent_span(header.extent);
        bool finished = ring_header_lsn(header) == flusher->gathered &&
                        ring_header_state(header) >= RING_COMMITTED;
        if (!finished || span == 0 || span > end - flusher->gathered || span > flusher->span_max)
            break;
        flusher->full = !has_room(flusher, span, limit);
        if (flusher->full)
            break;
        if (!take_extent(flusher, header))
            break;
    }
}
