/* SPDX-License-Identifier: MIT
 *
 * What the tests of the store and the reader share: a log without a ring in a directory of its own,
 * records whose bytes follow from their number, and hands that spoil files.
 *
 * Header-only, so that a test is one file. */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include "base/error.h"
#include "segment/scan.h"
#include "segment/segment.h"
#include "shmwal.h"
#include "store/catalog.h"
#include "store/directory.h"
#include "store/store.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <sys/stat.h>

enum { DISK_SEGMENT_BYTES = 64 * 1024, DISK_FRAME_BYTES = 64 * 1024 };

#define OK(call)                                                                                   \
    do {                                                                                           \
        int ok_ = (call);                                                                          \
        ck_assert_msg(ok_ == 0, "%s gave %d: %s", #call, ok_, fail_sentence());                    \
    } while (0)

/* The sentence must be there, and name the file. */
#define FAILS(error, call)                                                                         \
    do {                                                                                           \
        int fails_ = (call);                                                                       \
        ck_assert_msg(fails_ == -(error), "%s gave %d: %s", #call, fails_, fail_sentence());       \
        ck_assert_msg(strlen(fail_sentence()) > 20, "no sentence: %s", fail_sentence());           \
    } while (0)

static struct directory disk;    /* the log at support_log */
static uint64_t disk_lsn;        /* where the next record begins */
static unsigned disk_records;    /* written so far */
static uint64_t disk_ends[4096]; /* of each record */
alignas(FORMAT_BLOCK) static char disk_frame[DISK_FRAME_BYTES];

static char disk_base[32]; /* the directory of all tests of this program */

/* Made and removed by the process that runs the tests, so that those that fail leave nothing
 * either. */
static inline void disk_make_base(void)
{
    strcpy(disk_base, "/tmp/duralog-disk-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(disk_base));
}

static inline void disk_remove_base(void)
{
    remove_tree(disk_base);
}

static inline void disk_setup(void)
{
    snprintf(support_directory, sizeof support_directory, "%s/XXXXXX", disk_base);
    ck_assert_ptr_nonnull(mkdtemp(support_directory));
    snprintf(support_log, sizeof support_log, "%s/log", support_directory);
    OK(directory_create(support_log, 64 * 1024, DISK_SEGMENT_BYTES));
    OK(directory_open(support_log, true, &disk));
    disk_lsn = 0;
    disk_records = 0;
}

/* Stores whose process has died, so to speak; at the test's end their memory is given back. */
static struct store *disk_abandoned[8];
static unsigned disk_abandoned_count;

static inline void disk_abandon(struct store *store)
{
    ck_assert_uint_lt(disk_abandoned_count, 8);
    disk_abandoned[disk_abandoned_count++] = store;
}

static inline void disk_teardown(void)
{
    while (disk_abandoned_count > 0)
        store_close(disk_abandoned[--disk_abandoned_count]);
    directory_close(&disk);
    remove_tree(support_directory);
}

/* ---- Records ---- */

static inline size_t disk_length(unsigned number)
{
    return number * 37 % 200;
}

static inline void disk_fill(unsigned number, char *bytes)
{
    for (size_t i = 0; i < disk_length(number); i++)
        bytes[i] = (char)(number * 31 + i * 7 + 1);
}

/* Writes record `number`, whole, and returns its span. */
static inline uint64_t disk_put(char *place, unsigned number, uint64_t lsn)
{
    struct record_header *header = (struct record_header *)place;
    uint64_t span = record_span(disk_length(number));
    memset(place, 0, span);
    header->length = (uint32_t)disk_length(number);
    header->producer = 7;
    header->type = SHMWAL_BYTES;
    disk_fill(number, (char *)(header + 1));
    header->checksum = record_checksum(header, header + 1, lsn);
    return span;
}

/* Puts the next `count` records into disk_frame and returns their bytes; they are not written
 * yet. */
static inline uint64_t disk_gather(unsigned count)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        bytes += disk_put(disk_frame + sizeof(struct frame_header) + bytes, disk_records + i,
                          disk_lsn + bytes);
        disk_ends[disk_records + i] = disk_lsn + bytes;
    }
    return bytes;
}

/* Appends `count` records as one frame; they count as written only if that succeeds. */
static inline int disk_write(struct store *store, unsigned count)
{
    uint64_t bytes = disk_gather(count);
    int error = store_write(store, (struct frame_header *)disk_frame, disk_lsn, bytes, count);
    if (error == 0) {
        disk_lsn += bytes;
        disk_records += count;
    }
    return error;
}

static inline struct store *disk_store(void)
{
    struct store *store;
    OK(store_open(&disk, disk_lsn, &store));
    return store;
}

/* ---- Reading ---- */

struct disk_reading {
    int status;       /* of the call that ended it: 0 or negative */
    unsigned records; /* read, each of them right */
    uint64_t lsn;     /* of the last */
    bool found;       /* torn or damaged */
    shmwal_damage damage;
    char segment[64];
};

static inline void disk_check_record(const shmwal_record *record, unsigned number)
{
    char expected[256];
    disk_fill(number, expected);
    ck_assert_uint_eq(record->length, disk_length(number));
    ck_assert_msg(memcmp(record->data, expected, record->length) == 0, "record %u", number);
    ck_assert_uint_eq(record->lsn, disk_ends[number]);
}

static inline unsigned disk_first_after(uint64_t from_lsn)
{
    unsigned number = 0;
    while (from_lsn > (number == 0 ? 0 : disk_ends[number - 1]))
        number++;
    return number;
}

/* Reads all that a reader yields from `from_lsn` on; every record must be the right one. */
static inline struct disk_reading disk_read_from(uint64_t from_lsn)
{
    struct disk_reading reading = {0};
    shmwal_reader *reader;
    shmwal_record record;
    unsigned number = disk_first_after(from_lsn);
    reading.status = shmwal_reader_open(support_log, from_lsn, &reader);
    if (reading.status < 0)
        return reading;
    while ((reading.status = shmwal_reader_next(reader, &record)) == 1) {
        disk_check_record(&record, number++);
        reading.records++;
        reading.lsn = record.lsn;
    }
    reading.found = shmwal_reader_damage(reader, &reading.damage) == 1;
    if (reading.found)
        snprintf(reading.segment, sizeof reading.segment, "%s", reading.damage.segment);
    shmwal_reader_close(reader);
    return reading;
}

static inline struct disk_reading disk_read(void)
{
    return disk_read_from(0);
}

/* ---- Segments ---- */

static inline unsigned disk_segments(void)
{
    struct catalog catalog;
    OK(catalog_open(&disk, &catalog));
    unsigned count = (unsigned)catalog.count;
    catalog_close(&catalog);
    return count;
}

static inline uint64_t disk_segment_lsn(unsigned place)
{
    struct catalog catalog;
    OK(catalog_open(&disk, &catalog));
    ck_assert_uint_lt(place, catalog.count);
    uint64_t lsn = catalog.first_lsns[place];
    catalog_close(&catalog);
    return lsn;
}

static inline const char *disk_path(uint64_t first_lsn)
{
    static char paths[4][160];
    static unsigned next;
    char name[SEGMENT_NAME_BYTES];
    char *path = paths[next++ % 4];
    segment_name(first_lsn, name);
    snprintf(path, sizeof paths[0], "%s/segments/%s", support_log, name);
    return path;
}

static inline struct segment_header disk_header(uint64_t first_lsn)
{
    struct segment segment;
    OK(segment_open(disk.segments_fd, first_lsn, disk.meta.uuid, SEGMENT_READ, SYNC_FDATASYNC,
                    &segment));
    segment_close(&segment);
    return segment.header;
}

/* ---- Spoiling ---- */

static inline void disk_get(const char *path, uint64_t offset, void *bytes, size_t length)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pread(fd, bytes, length, (off_t)offset), (ssize_t)length);
    close(fd);
}

static inline void disk_set(const char *path, uint64_t offset, const void *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, bytes, length, (off_t)offset), (ssize_t)length);
    close(fd);
}

static inline void disk_flip(const char *path, uint64_t offset, unsigned char mask)
{
    unsigned char byte;
    disk_get(path, offset, &byte, 1);
    byte ^= mask;
    disk_set(path, offset, &byte, 1);
}

static inline void disk_zero(const char *path, uint64_t offset, size_t length)
{
    static const char zeros[DISK_SEGMENT_BYTES];
    disk_set(path, offset, zeros, length);
}

/* What recovery says without a ring; the end goes to *end_lsn. */
static inline int disk_recover(uint64_t *end_lsn)
{
    return store_find_end(&disk, end_lsn);
}

#endif
