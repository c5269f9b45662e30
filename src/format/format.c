/* SPDX-License-Identifier: MIT
 * See format.h: the definitions stand there, this file only computes them. */
#include "format/format.h"

#include "format/checksum.h"

#include <string.h>

static const char FRAME_MAGIC[8] = "DLframe1";
static const char SEGMENT_MAGIC[8] = "DLsegmt1";
static const char META_MAGIC[8] = "DLmetad1";

/* Odd constants with no pattern: the golden ratio's and two primes of xxHash. */
#define MIX_LSN    UINT64_C(0x9E3779B97F4A7C15)
#define MIX_FIELDS UINT64_C(0xC2B2AE3D27D4EB4F)
#define MIX_LAST   UINT64_C(0x165667B19E3779F9)

uint32_t record_checksum(const struct record_header *header, const void *payload, uint64_t lsn)
{
    uint64_t fields = (uint64_t)header->length << 32 | header->producer;
    uint64_t sum = checksum64(payload, header->length);
    sum ^= (lsn + header->type) * MIX_LSN;
    sum ^= fields * MIX_FIELDS;
    sum = (sum ^ sum >> 32) * MIX_LAST;
    return (uint32_t)(sum >> 32);
}

const struct record_header *record_validate(const void *bytes, uint64_t room, uint64_t lsn)
{
    const struct record_header *header = bytes;
    if (room < sizeof *header || record_span(header->length) > room)
        return NULL;
    if (header->flags != 0 || header->zero != 0)
        return NULL;
    if (header->checksum != record_checksum(header, header + 1, lsn))
        return NULL;
    return header;
}

void record_write_filler(void *bytes, uint64_t span, uint32_t producer, uint64_t lsn)
{
    struct record_header *header = bytes;
    memset(bytes, 0, span);
    header->length = (uint32_t)(span - sizeof *header);
    header->producer = producer;
    header->type = RECORD_FILLER;
    header->checksum = record_checksum(header, header + 1, lsn);
}

/* Everything behind the checksum field, to the payload's end. */
static uint64_t frame_checksum(const struct frame_header *frame)
{
    size_t skipped = offsetof(struct frame_header, first_lsn);
    return checksum64((const char *)frame + skipped,
                      sizeof *frame - skipped + frame->payload_bytes);
}

void frame_seal_header(struct frame_header *frame, enum frame_kind kind, uint64_t first_lsn,
                       uint64_t durable_before, uint64_t time_ns, uint64_t payload_bytes,
                       uint32_t records, uint64_t salt)
{
    memcpy(frame->magic, FRAME_MAGIC, sizeof frame->magic);
    frame->first_lsn = first_lsn;
    frame->durable_before = durable_before;
    frame->time_ns = time_ns;
    frame->payload_bytes = payload_bytes;
    frame->records = records;
    frame->kind = kind;
    frame->salt = salt;
    frame->checksum = frame_checksum(frame);
}

bool frame_plausible(const struct frame_header *frame, uint64_t room, uint64_t salt)
{
    if (room < sizeof *frame || memcmp(frame->magic, FRAME_MAGIC, sizeof frame->magic) != 0)
        return false;
    if (frame->salt != salt || frame->payload_bytes > room - sizeof *frame)
        return false;
    if (frame->first_lsn % FORMAT_UNIT != 0 || frame->payload_bytes % FORMAT_UNIT != 0)
        return false;
    if (frame->first_lsn > FORMAT_LSN_NONE - frame->payload_bytes)
        return false;
    if (frame->kind == FRAME_DATA)
        return frame->payload_bytes > 0 && frame->records > 0;
    if (frame->kind == FRAME_SEAL || frame->kind == FRAME_ROLL)
        return frame->payload_bytes == 0 && frame->records == 0;
    return false;
}

bool frame_valid(const struct frame_header *frame, uint64_t room, uint64_t salt)
{
    return frame_plausible(frame, room, salt) && frame->checksum == frame_checksum(frame);
}

bool frame_records_fit(const struct frame_header *frame)
{
    const char *payload = (const char *)(frame + 1);
    uint64_t done = 0, records = 0;
    struct record_stride stride = RECORD_STRIDE_INIT;
    while (done < frame->payload_bytes) {
        const struct record_header *record = (const struct record_header *)(payload + done);
        uint64_t span = record_stride(&stride, record->length);
        if (span > frame->payload_bytes - done)
            return false;
        done += span;
        records++;
    }
    return records == frame->records;
}

static uint64_t block_checksum(const void *block)
{
    return checksum64((const char *)block + 16, FORMAT_BLOCK - 16);
}

/* Meta and segment headers begin alike: magic, checksum, version, size, flags. */
struct block_start {
    char magic[8];
    uint64_t checksum;
    uint32_t version;
    uint32_t header_bytes;
    uint32_t compatible;
    uint32_t incompatible;
};
static_assert(offsetof(struct segment_header, incompatible) ==
                  offsetof(struct block_start, incompatible),
              "layout");
static_assert(offsetof(struct meta, incompatible) == offsetof(struct block_start, incompatible),
              "layout");

static void block_seal(void *block, const char magic[8])
{
    struct block_start *start = block;
    memcpy(start->magic, magic, sizeof start->magic);
    start->version = FORMAT_VERSION;
    start->header_bytes = FORMAT_BLOCK;
    start->checksum = block_checksum(block);
}

/* The version is judged before the checksum: a later one may compute it otherwise. */
static enum block_verdict block_check(const void *block, const char magic[8])
{
    const struct block_start *start = block;
    if (memcmp(start->magic, magic, sizeof start->magic) != 0)
        return BLOCK_FOREIGN;
    if (start->version != FORMAT_VERSION)
        return BLOCK_INCOMPATIBLE;
    if (start->header_bytes != FORMAT_BLOCK || start->checksum != block_checksum(block))
        return BLOCK_DAMAGED;
    return start->incompatible != 0 ? BLOCK_INCOMPATIBLE : BLOCK_VALID;
}

void segment_header_seal(struct segment_header *header)
{
    block_seal(header, SEGMENT_MAGIC);
}

enum block_verdict segment_header_check(const struct segment_header *header)
{
    enum block_verdict verdict = block_check(header, SEGMENT_MAGIC);
    if (verdict == BLOCK_VALID &&
        (header->first_lsn % FORMAT_UNIT != 0 || header->file_bytes % FORMAT_BLOCK != 0 ||
         header->file_bytes < SEGMENT_BYTES_MIN))
        return BLOCK_DAMAGED;
    return verdict;
}

void meta_seal(struct meta *meta)
{
    block_seal(meta, META_MAGIC);
}

enum block_verdict meta_check(const struct meta *meta)
{
    enum block_verdict verdict = block_check(meta, META_MAGIC);
    bool power_of_two = meta->ring_bytes != 0 && (meta->ring_bytes & (meta->ring_bytes - 1)) == 0;
    if (verdict == BLOCK_VALID && (!power_of_two || meta->segment_bytes % FORMAT_BLOCK != 0 ||
                                   meta->segment_bytes < SEGMENT_BYTES_MIN))
        return BLOCK_DAMAGED;
    return verdict;
}

static uint64_t smaller(uint64_t one, uint64_t other)
{
    return one < other ? one : other;
}

/* Half the ring, so that a large record need not wait for the ring to run empty; and one frame in a
 * segment of its own, behind the header block and with room for a seal and a roll mark. */
uint64_t record_length_max(uint64_t ring_bytes, uint64_t segment_bytes)
{
    uint64_t segment_room = (segment_bytes - 4 * FORMAT_BLOCK) / FORMAT_UNIT * FORMAT_UNIT;
    uint64_t span = smaller(smaller(ring_bytes / 2, segment_room), RECORD_SPAN_MAX);
    return span - sizeof(struct record_header);
}
