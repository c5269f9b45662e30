/* SPDX-License-Identifier: MIT
 *
 * The bytes: records, frames, segment headers, meta. Pure: no I/O, no shared state.
 *
 * What stands in a log's directory, and what "valid" means, if and only if. Recovery, readers,
 * tests and fuzzers share these definitions; src/README.md explains them to somebody who writes a
 * reader. All numbers are little-endian.
 *
 * Knows base. Changes only with a version or a flag: see "Evolution" in src/README.md. */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the log's bytes are little-endian and are used in place"
#endif

enum {
    FORMAT_VERSION = 1,
    FORMAT_UNIT = 64, /* LSNs are multiples of it: records begin and end there */
    FORMAT_BLOCK =
        4096, /* frames begin there, so that no block with acknowledged bytes is rewritten */
    FORMAT_UUID_BYTES = 16,
    SEGMENT_BYTES_MIN = 16 * 4096,
};

#define FORMAT_LSN_NONE UINT64_MAX

/* ---- Record
 * --------------------------------------------------------------------------------------
 *
 *   0-3   length of the payload, bytes
 *   4-7   checksum, see record_checksum()
 *   8-11  producer: the low 32 bits of the attachment's number
 *   12    type: 0 a filler, else SHMWAL_BYTES and so on
 *   13    flags: 0
 *   14-15 0
 *   16-   payload, then zeros to the next multiple of 64
 *
 * Its LSN span is the bytes it takes: a record at LSN p ends at p + record_span(length).
 *
 * A record is valid at LSN p within n bytes if and only if its span is at most n, flags and bytes
 * 14-15 are zero, and the checksum is record_checksum(header, payload, p). A filler's payload is
 * zeros; readers yield nothing for it. */
struct record_header {
    uint32_t length;
    uint32_t checksum;
    uint32_t producer;
    uint8_t type;
    uint8_t flags;
    uint16_t zero;
};
static_assert(sizeof(struct record_header) == 16, "layout");

enum { RECORD_FILLER = 0 };

static inline uint64_t round_up(uint64_t value, uint64_t multiple)
{
    return (value + multiple - 1) / multiple * multiple;
}

static inline uint64_t record_span(uint64_t length)
{
    return round_up(sizeof(struct record_header) + length, FORMAT_UNIT);
}

/* The same for one record after another. Most often a record is as long as the one before it; when
 * the processor has guessed that, it need not wait for the length to know where the next one is. */
struct record_stride {
    uint64_t length, span; /* of the record before */
};
#define RECORD_STRIDE_INIT                                                                         \
    {                                                                                              \
        .length = 0, .span = FORMAT_UNIT                                                           \
    }

static inline uint64_t record_stride(struct record_stride *stride, uint64_t length)
{
    if (__builtin_expect_with_probability(length != stride->length, 0, 0.999)) {
        stride->length = length;
        stride->span = record_span(length);
    }
    return stride->span;
}

/* XXH3-64 of the payload, mixed with the LSN and with the header's other fields, low 32 bits: bytes
 * of another place or of an earlier lap of the ring do not validate. */
uint32_t record_checksum(const struct record_header *header, const void *payload, uint64_t lsn);

/* The valid record at `lsn` in the `room` bytes at `bytes`, or NULL. */
const struct record_header *record_validate(const void *bytes, uint64_t room, uint64_t lsn);

/* Writes a filler of exactly `span` bytes, payload included. */
void record_write_filler(void *bytes, uint64_t span, uint32_t producer, uint64_t lsn);

/* ---- Frame
 * ---------------------------------------------------------------------------------------
 *
 * What one flush wrote: records end to end. Begins at a multiple of FORMAT_BLOCK in the segment
 * file; what lies between its end and the next such multiple is zero, and not looked at.
 *
 *   0-7   "DLframe1"
 *   8-15  checksum: XXH3-64 of bytes 16 to the end of the payload
 *   16-23 first_lsn: where the first record begins
 *   24-31 durable_before: all records below this LSN were durable when this frame was written
 *   32-39 time, ns since 1970
 *   40-47 payload_bytes: of the records, a multiple of 64
 *   48-51 records: their count, fillers included
 *   52-55 kind
 *   56-63 salt: the segment's, so that no frame of another segment or of a recycled file validates
 *   64-   payload
 *
 * A frame is valid at offset o of a segment if and only if o is a multiple of FORMAT_BLOCK and not
 * 0, the magic and the salt match, the kind is known, SEAL and ROLL have no payload and no records
 * and DATA has both, o + 64 + payload_bytes is at most the segment's file_bytes, and the checksum
 * holds. It is accepted if and only if it is valid, begins at the LSN where the frame accepted
 * before it ended, and the spans of its records, end to end, fill its payload exactly. Their bytes
 * need no checking of their own: the frame's checksum covers them. (`verify` checks them all the
 * same.) */
struct frame_header {
    char magic[8];
    uint64_t checksum;
    uint64_t first_lsn;
    uint64_t durable_before;
    uint64_t time_ns;
    uint64_t payload_bytes;
    uint32_t records;
    uint32_t kind;
    uint64_t salt;
};
static_assert(sizeof(struct frame_header) == 64, "layout");

enum frame_kind {
    FRAME_DATA = 1,
    FRAME_SEAL = 2, /* nothing follows for now, and all before it is durable */
    FRAME_ROLL = 3, /* the successor exists and is synced: a log that ends here has lost it */
};

/* Sets every field of the header at `frame` but the payload, which already stands behind it. */
void frame_seal_header(struct frame_header *frame, enum frame_kind kind, uint64_t first_lsn,
                       uint64_t durable_before, uint64_t time_ns, uint64_t payload_bytes,
                       uint32_t records, uint64_t salt);

/* Whether the header alone could belong to a valid frame with `room` bytes from its start to the
 * end of the file: everything but the checksum. */
bool frame_plausible(const struct frame_header *frame, uint64_t room, uint64_t salt);

/* Whether the frame, header and payload in memory, is valid; see above. */
bool frame_valid(const struct frame_header *frame, uint64_t room, uint64_t salt);

/* Whether the spans of its records fill its payload exactly. */
bool frame_records_fit(const struct frame_header *frame);

/* The space a frame takes in its file: a multiple of FORMAT_BLOCK. */
static inline uint64_t frame_file_bytes(uint64_t payload_bytes)
{
    return round_up(sizeof(struct frame_header) + payload_bytes, FORMAT_BLOCK);
}

/* ---- Segment header
 * ------------------------------------------------------------------------------
 *
 * The first block of a segment file, whose name is first_lsn in 16 lower-case hex digits and
 * ".seg".
 *
 *   0-7   "DLsegmt1"
 *   8-15  checksum: XXH3-64 of bytes 16-4095
 *   16-19 version
 *   20-23 header_bytes: 4096
 *   24-27 compatible flags: a reader ignores those it does not know. SEGMENT_PREFILLED: the whole
 *         file had been written before it became a segment
 *   28-31 incompatible flags: a reader refuses the file if it does not know one
 *   32-47 UUID of the log
 *   48-55 number: 0, 1, 2, … never used twice in a log
 *   56-63 first_lsn
 *   64-71 previous_first_lsn: the predecessor's name; all ones in the log's first segment
 *   72-79 salt: random, new each time a file becomes a segment
 *   80-87 file_bytes: a shorter file is damaged; a multiple of 4096, 64 KiB at least
 *   88-95 created, ns since 1970
 *   96-   0
 *
 * It is written and synced before the file gets its name. Its existence proves that all before
 * first_lsn was durable; and it cuts off whatever the predecessor holds from first_lsn on. */
enum { SEGMENT_PREFILLED = 1 };

struct segment_header {
    char magic[8];
    uint64_t checksum;
    uint32_t version;
    uint32_t header_bytes;
    uint32_t compatible;
    uint32_t incompatible;
    uint8_t uuid[FORMAT_UUID_BYTES];
    uint64_t number;
    uint64_t first_lsn;
    uint64_t previous_first_lsn;
    uint64_t salt;
    uint64_t file_bytes;
    uint64_t created_ns;
    uint8_t zero[FORMAT_BLOCK - 96];
};
static_assert(sizeof(struct segment_header) == FORMAT_BLOCK, "layout");

/* ---- Meta
 * ----------------------------------------------------------------------------------------
 *
 * The file `meta`: the log's identity and what was decided at its creation. Never changed.
 *
 *   0-7   "DLmetad1"
 *   8-15  checksum: XXH3-64 of bytes 16-4095
 *   16-19 version
 *   20-23 header_bytes: 4096
 *   24-27 compatible, 28-31 incompatible flags
 *   32-47 UUID
 *   48-55 ring_bytes: a power of two
 *   56-63 segment_bytes: a multiple of 4096, 64 KiB at least
 *   64-71 created, ns since 1970
 *   72-79 spare_bytes: prefilled files that are kept ahead of need, bytes; a flusher that does not
 *         know the field makes none ahead
 *   80-   0 */
struct meta {
    char magic[8];
    uint64_t checksum;
    uint32_t version;
    uint32_t header_bytes;
    uint32_t compatible;
    uint32_t incompatible;
    uint8_t uuid[FORMAT_UUID_BYTES];
    uint64_t ring_bytes;
    uint64_t segment_bytes;
    uint64_t created_ns;
    uint64_t spare_bytes;
    uint8_t zero[FORMAT_BLOCK - 80];
};
static_assert(sizeof(struct meta) == FORMAT_BLOCK, "layout");

/* What a block with a versioned header turned out to be. */
enum block_verdict {
    BLOCK_VALID,
    BLOCK_FOREIGN,      /* not our magic */
    BLOCK_INCOMPATIBLE, /* ours, of a version or with a flag that this code does not know */
    BLOCK_DAMAGED,      /* ours, but the checksum or a field is wrong */
};

void segment_header_seal(struct segment_header *header); /* magic, version, sizes, checksum */
enum block_verdict segment_header_check(const struct segment_header *header);
void meta_seal(struct meta *meta);
enum block_verdict meta_check(const struct meta *meta);

/* No reservation, and so no record, spans more: the ring counts a span's units in 24 bits. */
#define RECORD_SPAN_MAX ((UINT64_C(1) << 30) - FORMAT_UNIT)

/* The longest payload of a record that a log of these sizes takes. */
uint64_t record_length_max(uint64_t ring_bytes, uint64_t segment_bytes);

#endif
