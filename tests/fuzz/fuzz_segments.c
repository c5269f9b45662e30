/* SPDX-License-Identifier: MIT
 *
 * Fuzzes a log's segments. The first byte of the input says how many there are, one or two, and
 * whether checksums are set right; then come, for each segment, changes to its header and the
 * beginnings of its blocks.
 *
 * Knows hostile_log.h. Changes with the format. */
#include "hostile_log.h"

enum { FIX_HEADERS = 1, FIX_FRAMES = 2, TWO_SEGMENTS = 4, CHAINED = 8, HEADER_BYTES = 96 };

/* What is left of the input. */
struct input {
    const uint8_t *data;
    size_t size;
};

static size_t take(struct input *input, void *to, size_t bytes)
{
    size_t taken = bytes < input->size ? bytes : input->size;
    memcpy(to, input->data, taken);
    input->data += taken;
    input->size -= taken;
    return taken;
}

/* The header as it should be, with the input's bytes over it. */
static void fill_header(struct input *input, struct segment_header *header, uint8_t flags)
{
    uint8_t change[HEADER_BYTES] = {0}, length = 0;
    take(input, &length, 1);
    take(input, change, length % (HEADER_BYTES + 1));
    segment_header_seal(header);
    for (size_t i = 0; i < HEADER_BYTES; i++)
        ((uint8_t *)header)[i] ^= change[i];
    if (flags & FIX_HEADERS)
        segment_header_seal(header);
}

static void fix_frame(char *segment, uint64_t at, uint64_t salt)
{
    struct frame_header *frame = (struct frame_header *)(segment + at);
    if (frame->payload_bytes <= SEGMENT_BYTES_MIN - at - sizeof *frame)
        frame_seal_header(frame, frame->kind, frame->first_lsn, frame->durable_before,
                          frame->time_ns, frame->payload_bytes, frame->records, salt);
}

/* Chunks of the input, each at the next block behind the one before. */
static void fill_blocks(struct input *input, char *segment, uint8_t flags, uint64_t salt)
{
    uint64_t at = FORMAT_BLOCK;
    uint16_t length;
    while (at < SEGMENT_BYTES_MIN && take(input, &length, sizeof length) == sizeof length) {
        uint64_t room = SEGMENT_BYTES_MIN - at;
        uint64_t bytes = length < room ? length : room;
        take(input, segment + at, bytes);
        if (flags & FIX_FRAMES)
            fix_frame(segment, at, salt);
        at += bytes == 0 ? FORMAT_BLOCK : round_up(bytes, FORMAT_BLOCK);
    }
}

static void write_segment(struct input *input, uint8_t flags, uint64_t first_lsn, uint64_t number)
{
    static _Alignas(FORMAT_BLOCK) char bytes[SEGMENT_BYTES_MIN];
    char name[SEGMENT_NAME_BYTES], path[64];
    struct segment_header *header = (struct segment_header *)bytes;
    memset(bytes, 0, sizeof bytes);
    memcpy(header->uuid, hostile_meta.uuid, sizeof header->uuid);
    header->first_lsn = first_lsn;
    header->number = number;
    header->previous_first_lsn = number == 0 ? FORMAT_LSN_NONE : 0;
    header->salt = 0x5A5A;
    header->file_bytes = sizeof bytes;
    fill_header(input, header, flags);
    fill_blocks(input, bytes, flags, header->salt);
    segment_name(first_lsn, name);
    snprintf(path, sizeof path, "segments/%s", name);
    hostile_write(path, bytes, sizeof bytes);
}

/* Where the first segment ends, so that a second one may follow it. */
static uint64_t end_of_first(void)
{
    uint64_t end_lsn = 0;
    hostile_read(false, &end_lsn);
    return end_lsn == 0 ? FORMAT_UNIT : end_lsn;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    char second[64] = "", name[SEGMENT_NAME_BYTES];
    uint8_t flags = 0;
    hostile_open();
    take(&input, &flags, 1);
    write_segment(&input, flags, 0, 0);
    if (flags & TWO_SEGMENTS) {
        uint64_t lsn = flags & CHAINED ? end_of_first() : 4 * FORMAT_UNIT;
        write_segment(&input, flags, lsn, 1);
        segment_name(lsn, name);
        snprintf(second, sizeof second, "%s/segments/%s", hostile_log, name);
    }
    hostile_read_all();
    if (second[0] != '\0')
        unlink(second);
    return 0;
}
