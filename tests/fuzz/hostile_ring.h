/* SPDX-License-Identifier: MIT
 *
 * A ring in private memory, what flushes it, and the books that a fuzzer keeps of it.
 *
 * The flusher's parts are the real ones, up to the store: in its place stands one that keeps
 * nothing and says what the fuzzer wants. Control block and headers lie where AddressSanitizer sees
 * each step beside them, the bytes between pages that nobody may touch.
 *
 * THE BOOKS. Each record is written down as its producer copies it, and each unit of the bytes that
 * a stray store has hit is marked. So whatever a frame yields can be held against them.
 *
 * Knows flusher, ring, region's layout. Changes with what the flusher takes from a ring. */
#ifndef FUZZ_HOSTILE_RING_H
#define FUZZ_HOSTILE_RING_H

#include "flusher/flusher.h"
#include "region/attachment.h"
#include "require.h"
#include "ring/mend.h"
#include "segment/scan.h"
#include "sys/lock.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    RING_BYTES = 64 * 1024, /* the smallest that a log may have */
    UNITS = RING_BYTES / RING_UNIT,
    GUARD_BYTES = 64 * 1024,
    OWNERS = 3, /* producers 1 to 3; all others that a header may name are dead */
    EXTENTS_MAX = 512,
    COPIES_BYTES = 1 << 20,
};

/* What a producer has reserved. */
struct extent {
    uint64_t lsn, span, owner;
    enum ring_state state; /* as far as the producer brought it */
    const char *copy;      /* what it put there; NULL: nothing yet */
};

static struct {
    struct extent extents[EXTENTS_MAX];
    unsigned count;
    char copies[COPIES_BYTES];
    size_t copied;
    bool hit[UNITS];      /* by a stray store, since it was last written by a producer */
    bool protocol_broken; /* a stray store went into tail or headers */
} books;

static struct {
    uint64_t durable, ends[STORE_FRAMES], room;
    unsigned in_flight;
} fake_store;

static struct flusher flusher;
static struct ring producer;
static int ring_fd, owner_fd, segment_fd;

/* ---- What the flusher calls ---- */

uint64_t store_room(const struct store *store)
{
    (void)store;
    return fake_store.room;
}

uint64_t store_room_max(const struct store *store)
{
    (void)store;
    return flusher.directory.meta.segment_bytes - 3 * FORMAT_BLOCK;
}

uint64_t store_durable(const struct store *store)
{
    (void)store;
    return fake_store.durable;
}

unsigned store_in_flight(const struct store *store)
{
    (void)store;
    return fake_store.in_flight;
}

/* Each sentence is put together, and none is shown. */
void journal(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
}

bool journal_worth(uint64_t count)
{
    return count > 0;
}

/* ---- Making it ---- */

static inline char *map_twice(void)
{
    char *guarded =
        mmap(NULL, 2 * RING_BYTES + 2 * GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(guarded != MAP_FAILED && ftruncate(ring_fd, RING_BYTES) == 0, "there is memory");
    for (int i = 0; i < 2; i++)
        require(mmap(guarded + GUARD_BYTES + i * RING_BYTES, RING_BYTES, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_FIXED, ring_fd, 0) != MAP_FAILED,
                "there is memory");
    return guarded + GUARD_BYTES;
}

static inline void make_once(void)
{
    char name[64];
    struct ring *ring = &flusher.region.region.ring;
    if (ring->bytes != NULL)
        return;
    ring_fd = memfd_create("ring", MFD_CLOEXEC);
    segment_fd = memfd_create("segment", MFD_CLOEXEC);
    snprintf(name, sizeof name, "/proc/self/fd/%d", ring_fd);
    owner_fd = open(name, O_RDWR | O_CLOEXEC); /* its locks are not ring_fd's */
    flusher.region.ring_fd = ring_fd;
    flusher.region.state = aligned_alloc(CACHE_LINE, sizeof *flusher.region.state);
    flusher.region.region.control = aligned_alloc(CACHE_LINE, sizeof(struct ring_control));
    ring->tail = &flusher.region.region.control->tail;
    ring->headers = aligned_alloc(16, UNITS * sizeof *ring->headers);
    ring->size = RING_BYTES;
    ring->head = &flusher.region.state->head_lsn;
    ring->bytes = map_twice();
    flusher.directory.meta.ring_bytes = RING_BYTES;
    flusher.directory.meta.segment_bytes = 4 * SEGMENT_BYTES_MIN;
    flusher.span_max = record_span(record_length_max(RING_BYTES, 4 * SEGMENT_BYTES_MIN));
    require(frames_allocate(&flusher) == 0, "there is memory");
}

/* An empty ring that begins at `lsn`, with all owners alive. */
static inline void make_ring(uint64_t lsn)
{
    struct ring *ring = &flusher.region.region.ring;
    make_once();
    memset(flusher.region.state, 0, sizeof *flusher.region.state);
    memset(flusher.region.region.control, 0, sizeof *flusher.region.region.control);
    memset(ring->headers, 0, UNITS * sizeof *ring->headers);
    memset(ring->bytes, 0, RING_BYTES);
    memset(&fake_store, 0, sizeof fake_store);
    ring_initialize(ring->tail, lsn);
    flusher.region.state->head_lsn = flusher.region.state->durable_lsn = lsn;
    flusher.durable = flusher.room_told = flusher.issued = flusher.gathered = lsn;
    flusher.turn = flusher.records = flusher.open_looks = flusher.broken_looks = 0;
    flusher.full = false;
    fake_store.durable = lsn;
    fake_store.room = store_room_max(NULL);
    producer = *ring;
    producer.head_seen = lsn;
    for (uint64_t owner = 1; owner <= OWNERS; owner++)
        sys_lock_try(owner_fd, LOCK_ATTACHMENTS + owner);
    memset(books.hit, 0, sizeof books.hit);
    books.count = 0;
    books.copied = 0;
    books.protocol_broken = false;
}

/* ---- Holding what was gathered against the books ---- */

static inline bool was_hit(uint64_t lsn, uint64_t span)
{
    for (uint64_t at = lsn; at < lsn + span; at += RING_UNIT)
        if (books.hit[(at & (RING_BYTES - 1)) / RING_UNIT])
            return true;
    return false;
}

/* A producer may have been led to reserve the same place again: any of them will do. */
static inline bool is_in_books(uint64_t lsn, uint64_t span, const void *bytes)
{
    for (unsigned i = 0; i < books.count; i++) {
        const struct extent *extent = &books.extents[i];
        if (extent->copy != NULL && lsn >= extent->lsn &&
            lsn + span <= extent->lsn + extent->span &&
            memcmp(extent->copy + (lsn - extent->lsn), bytes, span) == 0)
            return true;
    }
    return false;
}

static inline const struct extent *extent_at(uint64_t lsn, uint64_t span)
{
    for (unsigned i = 0; i < books.count; i++)
        if (books.extents[i].lsn == lsn && books.extents[i].span == span)
            return &books.extents[i];
    return NULL;
}

/* Where only bytes were hit, a filler stands for what was hit, given up, or left by the dead. */
static inline void check_filler(uint64_t lsn, uint64_t span)
{
    const struct extent *extent = extent_at(lsn, span);
    if (books.protocol_broken)
        return;
    require(extent != NULL, "a filler is an extent's");
    if (extent == NULL)
        return;
    require(extent->state != RING_COMMITTED || was_hit(lsn, span), "an intact record is kept");
    if (extent->state == RING_RESERVED)
        require(attachment_alive(ring_fd, extent->owner) == 0, "the living are not overruled");
}

/* The records from `lsn` on, which have just been gathered to the frame's end. */
static inline void check_gathered(uint64_t lsn)
{
    const char *frame = (const char *)(flusher.frames[flusher.turn] + 1);
    require(flusher.gathered - flusher.issued <= flusher.frame_capacity, "the frame has room");
    while (lsn < flusher.gathered) {
        const char *bytes = frame + (lsn - flusher.issued);
        const struct record_header *record = record_validate(bytes, flusher.gathered - lsn, lsn);
        require(record != NULL, "what is gathered is valid");
        uint64_t span = record_span(record->length);
        if (record->type == RECORD_FILLER)
            check_filler(lsn, span);
        else
            require(was_hit(lsn, span) || is_in_books(lsn, span, bytes),
                    "what is gathered was appended");
        lsn += span;
    }
}

/* As the store writes it, and as a reader looks at it. */
static inline void check_frame(void)
{
    struct frame_header *frame = flusher.frames[flusher.turn];
    uint64_t payload_bytes = flusher.gathered - flusher.issued;
    const struct frame_header *read;
    struct segment segment = {.fd = segment_fd};
    struct scan scan = {0};
    segment.header.first_lsn = flusher.issued;
    segment.header.salt = 0x5A5A;
    segment.header.file_bytes = FORMAT_BLOCK + frame_file_bytes(payload_bytes);
    frame_seal_header(frame, FRAME_DATA, flusher.issued, fake_store.durable, 1, payload_bytes,
                      flusher.records, segment.header.salt);
    require(ftruncate(segment_fd, (off_t)segment.header.file_bytes) == 0 &&
                pwrite(segment_fd, frame, sizeof *frame + payload_bytes, FORMAT_BLOCK) ==
                    (ssize_t)(sizeof *frame + payload_bytes),
            "the segment is written");
    scan_start(&scan, &segment);
    require(scan_next(&scan, &read) == 1, "a reader accepts the frame");
    require(scan.lsn == flusher.gathered, "a reader reads it to its end");
    scan_close(&scan);
}

#endif
