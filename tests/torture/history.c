/* SPDX-License-Identifier: MIT
 * See history.h. */
#include "history.h"

#include "base/error.h"
#include "store/directory.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char complaint[1024];

__attribute__((format(printf, 1, 2))) static const char *complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(complaint, sizeof complaint, format, arguments);
    va_end(arguments);
    return complaint;
}

/* ---- Records ---- */

struct claim {
    uint32_t writer, number;
};

static uint64_t scramble(uint64_t value)
{
    value = (value ^ value >> 31) * UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ value >> 29) * UINT64_C(0xBF58476D1CE4E5B9);
    return value ^ value >> 32;
}

/* Mostly small, some of some blocks, few large. */
static size_t length_of(uint32_t writer, uint64_t draw)
{
    bool large = writer >= BULK_WRITERS || draw % 64 == 0;
    size_t limit = large ? RECORD_BYTES_MAX : draw % 8 == 0 ? 6000 : 300;
    size_t length = (size_t)(scramble(draw) % limit);
    return length < sizeof(struct claim) ? sizeof(struct claim) : length;
}

size_t history_fill(uint32_t writer, uint32_t number, char bytes[RECORD_BYTES_MAX])
{
    struct claim claim = {writer, number};
    uint64_t draw = scramble(((uint64_t)writer << 32 | number) + 1);
    size_t length = length_of(writer, draw);
    memset(bytes, (int)(draw & 0xFF) | 1, length);
    memcpy(bytes, &claim, sizeof claim);
    return length;
}

static bool is_right(const shmwal_record *record, struct claim *claim)
{
    static char expected[RECORD_BYTES_MAX];
    if (record->length < sizeof *claim || record->type != SHMWAL_BYTES)
        return false;
    memcpy(claim, record->data, sizeof *claim);
    return claim->writer < WRITERS_MAX &&
           history_fill(claim->writer, claim->number, expected) == record->length &&
           memcmp(expected, record->data, record->length) == 0;
}

/* ---- The history ---- */

void history_clear(struct history *history)
{
    free(history->records);
    *history = (struct history){0};
}

static void add(struct history *history, const struct known_record *record)
{
    if (history->count == history->capacity) {
        history->capacity = history->capacity == 0 ? 1024 : 2 * history->capacity;
        history->records = realloc(history->records, history->capacity * sizeof *record);
        if (history->records == NULL)
            abort();
    }
    history->records[history->count++] = *record;
    history->end_lsn = record->lsn;
    history->next[record->writer] = record->number + 1;
}

static const char *extend(struct history *history, shmwal_reader *reader)
{
    shmwal_record record;
    struct claim claim;
    int got;
    while ((got = shmwal_reader_next(reader, &record)) == 1) {
        if (!is_right(&record, &claim))
            return complain("the record at LSN %" PRIu64 " was not appended so", record.lsn);
        if (claim.number != history->next[claim.writer])
            return complain("LSN %" PRIu64 ": record %u of writer %u follows its record %u",
                            record.lsn, claim.number, claim.writer, history->next[claim.writer]);
        add(history, &(struct known_record){record.lsn, claim.writer, claim.number});
    }
    return got < 0 ? complain("%s", shmwal_error()) : NULL;
}

const char *history_extend(struct history *history, const char *path)
{
    shmwal_reader *reader;
    if (shmwal_reader_open(path, history->end_lsn, &reader) < 0)
        return complain("%s", shmwal_error());
    const char *wrong = extend(history, reader);
    shmwal_reader_close(reader);
    return wrong;
}

void history_copy(struct history *history, const struct history *from, uint64_t end_lsn)
{
    history->count = history->end_lsn = 0;
    memset(history->next, 0, sizeof history->next);
    for (uint64_t i = 0; i < from->count && from->records[i].lsn <= end_lsn; i++)
        add(history, &from->records[i]);
}

/* ---- Checking ---- */

/* That the reader yields just the first `*count` records. */
static const char *read_prefix(const struct history *history, shmwal_reader *reader,
                               uint64_t *count)
{
    shmwal_record record;
    struct claim claim;
    int got;
    *count = 0;
    while ((got = shmwal_reader_next(reader, &record)) == 1) {
        const struct known_record *known = &history->records[*count];
        if (*count >= history->count)
            return complain("a record at LSN %" PRIu64 " was never appended", record.lsn);
        if (!is_right(&record, &claim) || claim.writer != known->writer ||
            claim.number != known->number || record.lsn != known->lsn)
            return complain("the record at LSN %" PRIu64 " is not the one that was appended there",
                            record.lsn);
        ++*count;
    }
    return got < 0 ? complain("reading: %s", shmwal_error()) : NULL;
}

static const char *check_reader(const struct history *history, const char *path, uint64_t end_lsn,
                                uint64_t *count)
{
    shmwal_reader *reader;
    if (shmwal_reader_open(path, 0, &reader) < 0)
        return complain("opening a reader: %s", shmwal_error());
    const char *wrong = read_prefix(history, reader, count);
    shmwal_reader_close(reader);
    if (wrong == NULL && *count < history->count && history->records[*count].lsn <= end_lsn)
        return complain("the record that ends at LSN %" PRIu64 " is missing, and the log ends at "
                        "LSN %" PRIu64,
                        history->records[*count].lsn, end_lsn);
    return wrong;
}

static const char *check_verify(const char *path, uint64_t end_lsn, uint64_t count)
{
    shmwal_verification result = {.size = sizeof result};
    if (shmwal_verify(path, &result, NULL, NULL) < 0)
        return complain("verifying: %s", shmwal_error());
    if (result.damaged)
        return complain("it passes for damaged: segment %s, offset %" PRIu64 ": %s",
                        result.damage.segment, result.damage.offset, result.damage.reason);
    if (result.records != count || result.last_lsn != end_lsn)
        return complain("verify finds %" PRIu64 " records up to LSN %" PRIu64 ", not %" PRIu64
                        " up to LSN %" PRIu64,
                        result.records, result.last_lsn, count, end_lsn);
    return NULL;
}

static const char *check_once(const struct history *history, const char *path, uint64_t durable_lsn,
                              const struct directory *directory, uint64_t *end_lsn)
{
    uint64_t count = 0;
    if (store_find_end(directory, end_lsn) < 0)
        return complain("recovery: %s", fail_sentence());
    if (*end_lsn < durable_lsn)
        return complain("it ends at LSN %" PRIu64 ", and LSN %" PRIu64 " was acknowledged",
                        *end_lsn, durable_lsn);
    const char *wrong = check_reader(history, path, *end_lsn, &count);
    return wrong != NULL ? wrong : check_verify(path, *end_lsn, count);
}

/* Opens the log to write, and ends without a record: what was there before must be there after. */
static const char *open_to_write(const struct directory *directory, uint64_t end_lsn)
{
    struct store *store;
    if (store_open(directory, end_lsn, &store) < 0)
        return complain("opening to write: %s", fail_sentence());
    return store_close(store) < 0 ? complain("sealing: %s", fail_sentence()) : NULL;
}

static const char *check_again(const struct history *history, const char *path,
                               const struct directory *directory, uint64_t end_lsn)
{
    uint64_t again_lsn;
    const char *wrong = open_to_write(directory, end_lsn);
    if (wrong == NULL)
        wrong = check_once(history, path, end_lsn, directory, &again_lsn);
    if (wrong == NULL && again_lsn != end_lsn)
        return complain("recovered again it ends at LSN %" PRIu64 ", not %" PRIu64, again_lsn,
                        end_lsn);
    return wrong;
}

const char *history_check(const struct history *history, const char *path, uint64_t durable_lsn,
                          bool again, uint64_t *end_lsn)
{
    struct directory directory;
    if (directory_open(path, true, &directory) < 0)
        return complain("opening: %s", fail_sentence());
    const char *wrong = check_once(history, path, durable_lsn, &directory, end_lsn);
    if (wrong == NULL && again)
        wrong = check_again(history, path, &directory, *end_lsn);
    directory_close(&directory);
    return wrong;
}
