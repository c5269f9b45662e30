/* SPDX-License-Identifier: MIT
 *
 * Fuzzes what `duralog import` takes from a log file of the earlier library. The input is a list of
 * parts that make up the file: whole records, records with something wrong, and bytes. What comes
 * out, records and holes, is held against a reading of the whole file by the format's definition;
 * and to go on at any record's offset must give what follows there.
 *
 * Knows the tool's earlier. The format is fixed. */
#include "../../tools/duralog/earlier.h"
#include "require.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEADER_BYTES = 9, FILE_BYTES_MAX = 64 << 10, SEARCH_BYTES = 32 << 20, RESUMES = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t file[FILE_BYTES_MAX];
static size_t file_bytes;

/* ---- The file ---- */

/* What is left of the input. */
struct input {
    const uint8_t *data;
    size_t size;
};

static uint32_t take(struct input *input, size_t bytes)
{
    uint32_t value = 0;
    bytes = bytes < input->size ? bytes : input->size;
    memcpy(&value, input->data, bytes);
    input->data += bytes;
    input->size -= bytes;
    return value;
}

/* A table of what eight steps of the polynomial make of a byte, and no more cleverness. */
static uint32_t crc32_plain(const uint8_t *bytes, size_t length)
{
    static uint32_t table[256];
    for (uint32_t byte = 0; table[255] == 0 && byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
        table[byte] = crc;
    }
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < length; i++)
        crc = crc >> 8 ^ table[(uint8_t)crc ^ bytes[i]];
    return ~crc;
}

static void put(const void *bytes, size_t length)
{
    length = length < FILE_BYTES_MAX - file_bytes ? length : FILE_BYTES_MAX - file_bytes;
    memcpy(file + file_bytes, bytes, length);
    file_bytes += length;
}

static void put_record(const uint8_t *payload, uint32_t length, uint32_t claimed, uint8_t type,
                       uint32_t change)
{
    uint32_t checksum = crc32_plain(payload, length) ^ change;
    put(&claimed, sizeof claimed);
    put(&type, sizeof type);
    put(&checksum, sizeof checksum);
    put(payload, length);
}

/* A part's payload comes from the input, or is a run of one byte. */
static void put_part(struct input *input)
{
    static uint8_t run[1 << 16];
    uint8_t kind = (uint8_t)take(input, 1), type = 1 + (kind >> 3 & 1);
    uint32_t length = take(input, kind & 16 ? 2 : 1);
    const uint8_t *payload = input->data;
    if (kind >= 224) {
        memset(run, (int)take(input, 1), length);
        payload = run;
    } else {
        length = length < input->size ? length : (uint32_t)input->size;
        input->data += length;
        input->size -= length;
    }
    switch (kind & 7) {
    case 0:
        put(payload, length);
        break;
    case 1:
        put_record(payload, length, length, type, take(input, 1)); /* 0: it is whole after all */
        break;
    case 2:
        put_record(payload, length, length + take(input, 4), type, 0);
        break;
    case 3:
        put_record(payload, length, length, (uint8_t)take(input, 1), 0);
        break;
    default:
        put_record(payload, length, length, type, 0);
    }
}

static int make_file(struct input *input)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("earlier", MFD_CLOEXEC);
    file_bytes = 0;
    while (input->size > 0 && file_bytes < FILE_BYTES_MAX)
        put_part(input);
    require(ftruncate(fd, 0) == 0 && pwrite(fd, file, file_bytes, 0) == (ssize_t)file_bytes,
            "there is memory");
    return fd;
}

/* ---- Reading it plainly ---- */

static uint32_t length_at(size_t offset)
{
    uint32_t length;
    memcpy(&length, file + offset, sizeof length);
    return length;
}

/* A header with a type that is known and a length that ends within the file. */
static bool may_be_record(size_t offset)
{
    return offset + HEADER_BYTES <= file_bytes &&
           (file[offset + 4] == 1 || file[offset + 4] == 2) &&
           length_at(offset) <= file_bytes - offset - HEADER_BYTES;
}

static bool is_record(size_t offset)
{
    uint32_t checksum;
    if (!may_be_record(offset))
        return false;
    memcpy(&checksum, file + offset + 5, sizeof checksum);
    return crc32_plain(file + offset + HEADER_BYTES, length_at(offset)) == checksum;
}

static size_t end_of(size_t offset)
{
    return offset + HEADER_BYTES + length_at(offset);
}

/* Where it goes on behind the damaged record at `offset`: where that one ends, if the file does or
 * a record begins there; else at the first record behind its beginning. */
static size_t end_of_hole(size_t offset)
{
    if (may_be_record(offset) && (end_of(offset) == file_bytes || is_record(end_of(offset))))
        return end_of(offset);
    do
        offset++;
    while (offset < file_bytes && !is_record(offset));
    return offset;
}

/* Whether so much looks like a record that a search may be given up. */
static bool is_search_long(void)
{
    uint64_t bytes = 0;
    for (size_t offset = 0; offset < file_bytes; offset++)
        bytes += may_be_record(offset) ? length_at(offset) : 0;
    return bytes > SEARCH_BYTES;
}

/* ---- What must hold ---- */

static void check_one(int kind, size_t offset, const struct earlier_record *record,
                      const struct earlier_hole *hole, bool exact)
{
    require(kind == EARLIER_RECORD || kind == EARLIER_HOLE,
            "each byte belongs to one or the other");
    if (kind == EARLIER_HOLE) {
        require(hole->offset == offset && hole->bytes > 0,
                "a hole begins where the last one ended");
        require(hole->reason != NULL && hole->reason[0] != '\0', "a hole has a reason");
        require(!exact || !is_record(offset), "no record is passed over");
        require(!exact || offset + hole->bytes == end_of_hole(offset), "a hole ends at a record");
        return;
    }
    require(record->offset == offset, "a record begins where the last one ended");
    require(is_record(offset), "a record is whole");
    require(record->length == length_at(offset) && record->type == file[offset + 4],
            "a record is what its header says");
    require(memcmp(record->payload, file + offset + HEADER_BYTES, record->length) == 0,
            "a record has its bytes");
}

/* From `offset` on to the end; puts down where some of the records begin. */
static void read_from(int fd, size_t offset, bool exact, size_t *begins, unsigned *count)
{
    struct earlier_file earlier;
    struct earlier_record record;
    struct earlier_hole hole;
    require(earlier_open(&earlier, fd, offset) == 0, "a regular file can be read");
    for (int kind; (kind = earlier_next(&earlier, &record, &hole)) != EARLIER_END;) {
        check_one(kind, offset, &record, &hole, exact);
        if (kind == EARLIER_RECORD && begins != NULL)
            begins[(*count)++ % RESUMES] = offset;
        offset += kind == EARLIER_HOLE ? hole.bytes : HEADER_BYTES + record.length;
        require(earlier.position == offset, "the position is behind what was returned");
    }
    require(offset == file_bytes, "all of the file is accounted for");
    require(earlier_next(&earlier, &record, &hole) == EARLIER_END, "the end stays the end");
    earlier_close(&earlier);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    size_t begins[RESUMES] = {0};
    unsigned count = 0;
    int fd = make_file(&input);
    bool exact = !is_search_long();
    read_from(fd, 0, exact, begins, &count);
    for (unsigned i = 0; i < count && i < RESUMES; i++)
        read_from(fd, begins[i], exact, NULL, NULL);
    return 0;
}
