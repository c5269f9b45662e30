/* SPDX-License-Identifier: MIT
 *
 * Rot: bits flipped, sectors lost, swapped, or from another log. No record may come out altered,
 * and none may be missing without being told of.
 *
 * A log of more than a megabyte is made by the real flusher, in memory; then its bytes are changed
 * one way after the other. What a reader yields then must be the first of the records that were
 * appended, just as they were; and either all of them, or the log is refused with the name of the
 * file that was changed. Only the last frame of a log that has no seal yet, as a crash leaves it,
 * may be cut off silently, since nothing tells that it was ever acknowledged. Recovery must say
 * the same as the reader.
 *
 *   flips [--all] [--seed N]       --all: every bit, a quarter of an hour; else some of them
 *
 * Knows draw.h, history.h, src/store, src/format. Changes with the rules of recovery. */
#include "../remove_tree.h"
#include "draw.h"
#include "history.h"

#include "base/error.h"
#include "format/format.h"
#include "segment/segment.h"
#include "store/catalog.h"
#include "store/directory.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SEGMENTS_MAX = 64,
    RECORDS_MAX = 4096,
    SECTOR_BYTES = 512,
    BATCH = 256,
    SAMPLE_FLIPS = 40000,
    SWAPS = 1500,
    VERIFY_EVERY = 512,
};

/* A log, its files mapped so that what is changed here is what everybody reads. */
struct rotting_log {
    char path[80];
    struct directory directory;
    size_t segments;
    struct {
        char *bytes;
        uint64_t size, first_lsn;
        size_t first_record; /* that begins in it */
        char name[SEGMENT_NAME_BYTES];
    } segment[SEGMENTS_MAX];
    size_t records;
    struct {
        uint64_t lsn;
        uint32_t length;
        char *data;
    } record[RECORDS_MAX];
    uint64_t may_be_cut_from; /* LSN: what ends behind it may be cut off silently */
};

static char base[] = "/dev/shm/flips-XXXXXX";
static uint64_t tried, refused, unnoticed, cut, wrong;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "flips: %s: %s\n", what, fail_sentence());
    exit(1);
}

static void clean(void)
{
    remove_tree(base);
}

/* ---- Making a log ---- */

static void append_all(const char *path, uint32_t writer)
{
    static char bytes[RECORD_BYTES_MAX];
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    options.ring_bytes = 64 << 10;
    options.segment_bytes = 256 << 10;
    shmwal *log;
    uint64_t lsn;
    if (shmwal_open(path, &options, &log) < 0)
        die("open");
    for (uint32_t i = 0; shmwal_reserved_lsn(log) < 1 << 19; i++) {
        size_t length = history_fill(writer, i, bytes);
        if (shmwal_append(log, bytes, length, &lsn) < 0)
            die("append");
        if (i % 5 == 0 && shmwal_wait(log, lsn, SHMWAL_DURABLE, -1) < 0)
            die("wait");
    }
    shmwal_close(log);
    if (shmwal_stop(path, -1) < 0)
        die("stop");
}

static void map_segment(struct rotting_log *log, uint64_t first_lsn)
{
    size_t place = log->segments++;
    struct stat status;
    if (place == SEGMENTS_MAX)
        die("too many segments");
    log->segment[place].first_lsn = first_lsn;
    segment_name(first_lsn, log->segment[place].name);
    int fd = openat(log->directory.segments_fd, log->segment[place].name, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        die("open a segment");
    log->segment[place].size = (uint64_t)status.st_size;
    log->segment[place].bytes =
        mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (log->segment[place].bytes == MAP_FAILED)
        die("map a segment");
    close(fd);
}

static void read_records(struct rotting_log *log)
{
    shmwal_reader *reader;
    shmwal_record record;
    size_t segment = 0;
    if (shmwal_reader_open(log->path, 0, &reader) < 0)
        die("read");
    while (shmwal_reader_next(reader, &record) == 1) {
        size_t number = log->records++;
        if (number == RECORDS_MAX)
            die("too many records");
        log->record[number].lsn = record.lsn;
        log->record[number].length = (uint32_t)record.length;
        log->record[number].data = malloc(record.length + 1);
        if (log->record[number].data == NULL)
            die("no memory");
        memcpy(log->record[number].data, record.data, record.length);
        while (segment + 1 < log->segments && record.lsn > log->segment[segment + 1].first_lsn)
            log->segment[++segment].first_record = number;
    }
    shmwal_reader_close(reader);
}

static void make_log(struct rotting_log *log, const char *name, uint32_t writer)
{
    struct catalog catalog;
    snprintf(log->path, sizeof log->path, "%s/%s", base, name);
    append_all(log->path, writer);
    if (directory_open(log->path, true, &log->directory) < 0 ||
        catalog_open(&log->directory, &catalog) < 0)
        die("open the log");
    for (size_t i = 0; i < catalog.count; i++)
        map_segment(log, catalog.first_lsns[i]);
    catalog_close(&catalog);
    if (log->segments < 4)
        die("too few segments");
    read_records(log);
    log->may_be_cut_from = FORMAT_LSN_NONE;
}

/* Takes the seals off the log's end: so a crash leaves it. */
static void unseal(struct rotting_log *log)
{
    char *bytes = log->segment[log->segments - 1].bytes;
    uint64_t salt = ((struct segment_header *)bytes)->salt, at = FORMAT_BLOCK, end = at;
    for (;;) {
        struct frame_header *frame = (struct frame_header *)(bytes + at);
        uint64_t room = log->segment[log->segments - 1].size - at;
        if (room < FORMAT_BLOCK || !frame_valid(frame, room, salt))
            break;
        at += frame_file_bytes(frame->payload_bytes);
        if (frame->kind != FRAME_DATA)
            continue;
        log->may_be_cut_from = frame->first_lsn;
        end = at;
    }
    memset(bytes + end, 0, at - end);
}

/* ---- Judging ---- */

struct verdict {
    int status;      /* of the read that was the last */
    size_t records;  /* number of the first one that did not come */
    char where[32];  /* the file that damage was found in */
    const char *why; /* it is wrong, or NULL */
};

static void compare(const struct rotting_log *log, const shmwal_record *record,
                    struct verdict *verdict)
{
    size_t number = verdict->records++;
    if (number >= log->records)
        verdict->why = "there is a record too many";
    else if (record->lsn != log->record[number].lsn ||
             record->length != log->record[number].length ||
             memcmp(record->data, log->record[number].data, record->length) != 0)
        verdict->why = "a record is altered, or one is missing before it";
}

/* Reads from the segment on that was changed: nothing else has. */
static struct verdict read_from(const struct rotting_log *log, size_t segment)
{
    struct verdict verdict = {.records = log->segment[segment].first_record};
    shmwal_record records[BATCH];
    shmwal_damage damage;
    shmwal_reader *reader;
    verdict.status = shmwal_reader_open(log->path, log->segment[segment].first_lsn, &reader);
    if (verdict.status < 0)
        return verdict;
    while (verdict.why == NULL &&
           (verdict.status = shmwal_reader_next_batch(reader, records, BATCH)) > 0)
        for (int i = 0; i < verdict.status && verdict.why == NULL; i++)
            compare(log, &records[i], &verdict);
    if (verdict.status < 0 && shmwal_reader_damage(reader, &damage) == 1)
        snprintf(verdict.where, sizeof verdict.where, "%s", damage.segment);
    shmwal_reader_close(reader);
    return verdict;
}

static uint64_t end_of(const struct rotting_log *log, size_t records)
{
    return records == 0 ? 0 : log->record[records - 1].lsn;
}

static bool is_refusal(int status)
{
    return status == -EBADMSG || status == -EPROTO;
}

/* What recovery looks at are the headers and the last segment: there it must say what the reader
 * says. */
static bool is_recoverys(const struct rotting_log *log, const struct verdict *verdict,
                         uint64_t offset)
{
    return offset < FORMAT_BLOCK || verdict->status == 0 ||
           strcmp(verdict->where, log->segment[log->segments - 1].name) == 0;
}

static const char *judge_recovery(const struct rotting_log *log, const struct verdict *verdict)
{
    uint64_t end_lsn;
    int status = store_find_end(&log->directory, &end_lsn);
    if (status == 0 && verdict->status == 0)
        return end_lsn == end_of(log, verdict->records) ? NULL
                                                        : "recovery ends elsewhere than the reader";
    if (is_refusal(status) != is_refusal(verdict->status))
        return status == 0 ? "recovery accepts what the reader refuses"
                           : "recovery refuses what the reader accepts";
    return NULL;
}

static const char *judge_verify(const struct rotting_log *log, const struct verdict *verdict)
{
    shmwal_verification result = {.size = sizeof result};
    int status = shmwal_verify(log->path, &result, NULL, NULL);
    bool bad = status < 0 || result.damaged;
    if (bad != is_refusal(verdict->status))
        return "verify does not agree with the reader";
    return NULL;
}

/* `segment`: the one that was changed, and `other` too. */
static void judge(const struct rotting_log *log, size_t segment, size_t other, bool thorough,
                  const char *what, uint64_t offset)
{
    struct verdict verdict = read_from(log, segment < other ? segment : other);
    bool last = segment == log->segments - 1 || other == log->segments - 1;
    if (verdict.why == NULL && verdict.status < 0) {
        if (!is_refusal(verdict.status))
            verdict.why = "it ends with another error";
        else if (verdict.where[0] != '\0' &&
                 strcmp(verdict.where, log->segment[segment].name) != 0 &&
                 strcmp(verdict.where, log->segment[other].name) != 0)
            verdict.why = "damage is said to be in another file";
    } else if (verdict.why == NULL && verdict.records < log->records &&
               end_of(log, verdict.records) < log->may_be_cut_from) {
        verdict.why = "records are missing, and nothing is said";
    }
    if (verdict.why == NULL && (last || offset < FORMAT_BLOCK) &&
        is_recoverys(log, &verdict, offset))
        verdict.why = judge_recovery(log, &verdict);
    if (verdict.why == NULL && thorough)
        verdict.why = judge_verify(log, &verdict);
    tried++;
    refused += verdict.status < 0;
    cut += verdict.status == 0 && verdict.records < log->records;
    unnoticed += verdict.status == 0 && verdict.records == log->records;
    if (verdict.why != NULL && wrong++ < 20)
        fprintf(stderr, "flips: %s: %s at offset %" PRIu64 ": %s (%s)\n",
                log->segment[segment].name, what, offset, verdict.why, fail_sentence());
}

/* ---- Spoiling ---- */

static void flip(const struct rotting_log *log, size_t segment, uint64_t bit)
{
    char *byte = log->segment[segment].bytes + bit / 8;
    *byte ^= (char)(1 << bit % 8);
    judge(log, segment, segment, tried % VERIFY_EVERY == 0, "a bit flipped", bit / 8);
    *byte ^= (char)(1 << bit % 8);
}

static void flip_every_bit(const struct rotting_log *log, size_t segment)
{
    for (uint64_t bit = 0; bit < log->segment[segment].size * 8; bit++)
        flip(log, segment, bit);
}

/* Half of them in the blocks' first bytes, where the headers are. */
static void flip_some(const struct rotting_log *log, size_t segment, uint64_t count, uint64_t *seed)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t blocks = log->segment[segment].size / FORMAT_BLOCK;
        uint64_t block = draw(seed) % blocks * FORMAT_BLOCK * 8;
        uint64_t bits = i % 2 == 0 ? 128 * 8 : FORMAT_BLOCK * 8;
        flip(log, segment, block + draw(seed) % bits);
    }
}

static void zero_sectors(const struct rotting_log *log, size_t segment, size_t bytes)
{
    char saved[FORMAT_BLOCK];
    for (uint64_t at = 0; at < log->segment[segment].size; at += bytes) {
        char *sector = log->segment[segment].bytes + at;
        memcpy(saved, sector, bytes);
        memset(sector, 0, bytes);
        judge(log, segment, segment, false, "a sector zeroed", at);
        memcpy(sector, saved, bytes);
    }
}

static void take_from(const struct rotting_log *log, const struct rotting_log *other,
                      size_t segment, size_t bytes)
{
    char saved[FORMAT_BLOCK];
    for (uint64_t at = 0; at < log->segment[segment].size; at += bytes) {
        char *sector = log->segment[segment].bytes + at;
        memcpy(saved, sector, bytes);
        memcpy(sector, other->segment[segment % other->segments].bytes + at, bytes);
        judge(log, segment, segment, false, "a sector of another log", at);
        memcpy(sector, saved, bytes);
    }
}

static void swap_bytes(char *a, char *b, size_t bytes)
{
    char aside[FORMAT_BLOCK];
    memcpy(aside, a, bytes);
    memcpy(a, b, bytes);
    memcpy(b, aside, bytes);
}

static void swap_sectors(const struct rotting_log *log, size_t bytes, uint64_t *seed)
{
    for (unsigned i = 0; i < SWAPS && log->segments > 0; i++) {
        size_t one = draw(seed) % log->segments, two = draw(seed) % log->segments;
        uint64_t at = draw(seed) % (log->segment[one].size / bytes) * bytes;
        uint64_t to = draw(seed) % (log->segment[two].size / bytes) * bytes;
        char *a = log->segment[one].bytes + at, *b = log->segment[two].bytes + to;
        swap_bytes(a, b, bytes);
        judge(log, one, two, false, "sectors swapped", at < to ? at : to);
        swap_bytes(a, b, bytes);
    }
}

static void flip_meta(const struct rotting_log *log)
{
    char path[100];
    unsigned char meta[FORMAT_BLOCK];
    struct directory directory;
    snprintf(path, sizeof path, "%s/meta", log->path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || pread(fd, meta, sizeof meta, 0) != sizeof meta)
        die("read meta");
    for (unsigned bit = 0; bit < sizeof meta * 8; bit++) {
        unsigned char byte = meta[bit / 8] ^ (unsigned char)(1 << bit % 8);
        if (pwrite(fd, &byte, 1, bit / 8) != 1)
            die("write meta");
        int status = directory_open(log->path, false, &directory);
        tried++;
        refused += status < 0;
        if (!is_refusal(status) && wrong++ < 20)
            fprintf(stderr, "flips: meta: bit %u flipped: taken for good\n", bit);
        if (status == 0)
            directory_close(&directory);
        if (pwrite(fd, meta + bit / 8, 1, bit / 8) != 1)
            die("write meta");
    }
    close(fd);
}

/* ---- All of it ---- */

static void spoil_everywhere(const struct rotting_log *log, const struct rotting_log *other,
                             bool all, uint64_t *seed)
{
    flip_meta(log);
    for (size_t i = 0; i < log->segments; i++) {
        if (all)
            flip_every_bit(log, i);
        else
            flip_some(log, i, SAMPLE_FLIPS / log->segments, seed);
        for (size_t bytes = SECTOR_BYTES; bytes <= FORMAT_BLOCK; bytes *= 8) {
            zero_sectors(log, i, bytes);
            take_from(log, other, i, bytes);
        }
    }
    swap_sectors(log, SECTOR_BYTES, seed);
    swap_sectors(log, FORMAT_BLOCK, seed);
}

static void spoil_unsealed_end(struct rotting_log *log, bool all, uint64_t *seed)
{
    size_t last = log->segments - 1;
    unseal(log);
    if (all)
        flip_every_bit(log, last);
    else
        flip_some(log, last, SAMPLE_FLIPS / 10, seed);
    zero_sectors(log, last, SECTOR_BYTES);
}

int main(int count, char **words)
{
    static struct rotting_log log, other;
    bool all = false;
    uint64_t seed = 1;
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--all") == 0)
            all = true;
        else if (strcmp(words[i], "--seed") == 0 && i + 1 < count)
            seed = strtoull(words[++i], NULL, 0);
        else
            return fprintf(stderr, "usage: flips [--all] [--seed N]\n"), 2;
    }
    uint64_t first_seed = seed, bytes = 0;
    if (mkdtemp(base) == NULL)
        die("make a directory in /dev/shm");
    atexit(clean);
    make_log(&log, "log", 1);
    make_log(&other, "other", 2);
    for (size_t i = 0; i < log.segments; i++)
        bytes += log.segment[i].size;
    spoil_everywhere(&log, &other, all, &seed);
    spoil_unsealed_end(&log, all, &seed);
    printf("flips: %zu segments, %" PRIu64 " bytes, %zu records: %" PRIu64 " changes, %" PRIu64
           " refused, %" PRIu64 " without effect, %" PRIu64 " cut off an unsealed frame, %" PRIu64
           " wrong; seed %" PRIu64 "\n",
           log.segments, bytes, log.records, tried, refused, unnoticed, cut, wrong, first_seed);
    return wrong == 0 ? 0 : 1;
}
