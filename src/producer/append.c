/* SPDX-License-Identifier: MIT
 *
 * Appending: reserve, copy, commit. And the same with the copy left to the caller.
 *
 * Knows room, handle, format. The path of an append is shmwal_append_for() from top to bottom. */
#include "base/error.h"
#include "format/format.h"
#include "producer/handle.h"
#include "producer/room.h"
#include "sys/clock.h"

#include <errno.h>
#include <string.h>

/* How much of a batch shares one reservation: enough to spread its cost thin, little enough that
 * others are not kept waiting for long. */
enum { BATCH_SPAN_MAX = 64 * 1024 };

static int check_type(uint32_t type)
{
    if (__builtin_expect(type - 1 < 255, 1))
        return 0;
    return fail(EINVAL, "a record's type is %u: 1 to 255", type);
}

/* Everything of a record but the payload and the checksum. */
static void record_begin(const shmwal *log, struct record_header *record, size_t length,
                         uint32_t type)
{
    record->length = (uint32_t)length;
    record->producer = (uint32_t)log->region.attachment;
    record->type = (uint8_t)type;
    record->flags = 0;
    record->zero = 0;
}

/* Zeros to the record's end, so that nothing of an earlier lap reaches the disk; and the checksum,
 * of what really stands in the ring. */
static void record_end(struct record_header *record, uint64_t lsn)
{
    char *payload = (char *)(record + 1);
    uint64_t room = record_span(record->length) - sizeof *record;
    memset(payload + record->length, 0, room - record->length);
    record->checksum = record_checksum(record, payload, lsn);
}

/* The header was not as this process had left it: it is lost, or see ring/mend.h. */
__attribute__((cold)) static int fail_overwritten(const shmwal *log, uint64_t lsn)
{
    if (region_is_lost(&log->region))
        return region_fail_lost(log->path);
    return fail(EBADMSG,
                "%s: the ring was overwritten at LSN %llu by a process that has this log open and "
                "stores into memory that is not its own; whether this record is in the log is not "
                "known",
                log->path, (unsigned long long)lsn);
}

SHMWAL_API int shmwal_append_for(shmwal *log, const void *data, size_t length, uint32_t type,
                                 int64_t timeout_ns, uint64_t *lsn)
{
    if (log == NULL || (data == NULL && length > 0))
        return fail(EINVAL, "shmwal_append needs a log and data");
    int error = check_type(type);
    if (error == 0)
        error = room_check_length(log, length);
    if (error == 0)
        error = handle_ready(log);
    if (error < 0)
        return error;
    uint64_t start, span = record_span(length);
    error = room_reserve(log, span, timeout_ns, &start);
    if (error < 0)
        return error;
    struct record_header *record = ring_at(&log->region.ring, start);
    record_begin(log, record, length, type);
    if (length > 0)
        memcpy(record + 1, data, length);
    record_end(record, start);
    if (!room_finish(log, start, span, RING_COMMITTED))
        return fail_overwritten(log, start);
    if (lsn != NULL)
        *lsn = start + span;
    return 0;
}

SHMWAL_API int shmwal_append_typed(shmwal *log, const void *data, size_t length, uint32_t type,
                                   uint64_t *lsn)
{
    return shmwal_append_for(log, data, length, type, log == NULL ? 0 : log->full_timeout_ns, lsn);
}

SHMWAL_API int shmwal_append(shmwal *log, const void *data, size_t length, uint64_t *lsn)
{
    return shmwal_append_typed(log, data, length, SHMWAL_BYTES, lsn);
}

/* What is left of a batch. */
struct batch {
    const char *data;
    const uint32_t *lengths;
    const uint8_t *types; /* NULL: all bytes */
    size_t count;
};

static uint32_t batch_type(const struct batch *batch, size_t i)
{
    return batch->types == NULL ? SHMWAL_BYTES : batch->types[i];
}

/* How many of the first records share a reservation, and its span: of a small log, no more than
 * one record may take, so that it fits a frame. Stops before a record that cannot be appended, so
 * that those before it are; 0 if the first is one. */
static size_t batch_chunk(const shmwal *log, const struct batch *batch, uint64_t *span)
{
    size_t count = 0;
    uint64_t sum = 0, sum_max = record_span(log->length_max);
    if (sum_max > BATCH_SPAN_MAX)
        sum_max = BATCH_SPAN_MAX;
    while (count < batch->count) {
        uint32_t length = batch->lengths[count];
        if (length > log->length_max || batch_type(batch, count) == 0)
            break;
        if (count > 0 && sum + record_span(length) > sum_max)
            break;
        sum += record_span(length);
        count++;
    }
    *span = sum;
    return count;
}

static int batch_append_chunk(shmwal *log, struct batch *batch, size_t count, uint64_t span,
                              int64_t timeout_ns, uint64_t *end)
{
    uint64_t start;
    int error = room_reserve(log, span, timeout_ns, &start);
    if (error < 0)
        return error;
    uint64_t lsn = start;
    for (size_t i = 0; i < count; i++) {
        uint32_t length = batch->lengths[i];
        struct record_header *record = ring_at(&log->region.ring, lsn);
        record_begin(log, record, length, batch_type(batch, i));
        if (length > 0)
            memcpy(record + 1, batch->data, length);
        record_end(record, lsn);
        batch->data += length;
        lsn += record_span(length);
    }
    if (!room_finish(log, start, span, RING_COMMITTED))
        return fail_overwritten(log, start);
    batch->lengths += count;
    batch->types += batch->types == NULL ? 0 : count;
    batch->count -= count;
    *end = lsn;
    return 0;
}

static int batch_append(shmwal *log, struct batch *batch, int64_t timeout_ns, uint64_t *end)
{
    int64_t deadline = deadline_from_timeout(timeout_ns);
    while (batch->count > 0) {
        uint64_t span;
        size_t count = batch_chunk(log, batch, &span);
        if (count == 0) {
            int error = room_check_length(log, batch->lengths[0]);
            return error < 0 ? error : check_type(batch_type(batch, 0));
        }
        int64_t left = timeout_ns;
        if (timeout_ns > 0) {
            left = deadline - clock_monotonic_ns();
            left = left > 0 ? left : 1;
        }
        int error = batch_append_chunk(log, batch, count, span, left, end);
        if (error < 0)
            return error;
    }
    return 0;
}

SHMWAL_API int shmwal_append_batch(shmwal *log, const void *data, const uint32_t *lengths,
                                   const uint8_t *types, size_t count, int64_t timeout_ns,
                                   uint64_t *lsn, size_t *appended)
{
    struct batch batch = {data, lengths, types, count};
    uint64_t end = 0;
    if (log == NULL || (count > 0 && (data == NULL || lengths == NULL)))
        return fail(EINVAL, "shmwal_append_batch needs a log, data and lengths");
    int error = handle_ready(log);
    if (error == 0)
        error = batch_append(log, &batch, timeout_ns, &end);
    if (appended != NULL)
        *appended = count - batch.count;
    if (error == 0 && count > 0 && lsn != NULL)
        *lsn = end;
    return error;
}

SHMWAL_API int shmwal_reserve(shmwal *log, size_t length, shmwal_slot *slot)
{
    uint64_t start;
    if (log == NULL || slot == NULL)
        return fail(EINVAL, "shmwal_reserve needs a log and a slot");
    int error = room_check_length(log, length);
    if (error == 0)
        error = handle_ready(log);
    if (error == 0)
        error = room_reserve(log, record_span(length), log->full_timeout_ns, &start);
    if (error < 0)
        return error;
    slot->data = (char *)ring_at(&log->region.ring, start) + sizeof(struct record_header);
    slot->length = length;
    slot->type = SHMWAL_BYTES;
    slot->reserved = 0;
    slot->private_start = start;
    slot->private_extent = ring_extent(log->region.attachment, record_span(length));
    return 0;
}

__attribute__((cold)) static int fail_finished(const shmwal *log, const char *sentence)
{
    if (region_is_lost(&log->region))
        return region_fail_lost(log->path);
    return fail(EINVAL, "%s", sentence);
}

static int check_slot(shmwal *log, const shmwal_slot *slot)
{
    if (log == NULL || slot == NULL)
        return fail(EINVAL, "a slot's end needs the log and the slot");
    int error = handle_ready(log);
    if (error < 0)
        return error;
    uint64_t owner = log->region.attachment, span = record_span(slot->length);
    if (slot->private_extent != ring_extent(owner, span))
        return fail(EINVAL,
                    "this slot was not reserved, or with another length, by another handle or "
                    "before a fork");
    if (!ring_is_open(&log->region.ring, owner, slot->private_start, span))
        return fail_finished(log, "this slot has been committed or discarded");
    return 0;
}

static int finish_slot(shmwal *log, shmwal_slot *slot, enum ring_state state)
{
    if (room_finish(log, slot->private_start, record_span(slot->length), state))
        return 0;
    return fail_finished(log, "this slot has just been committed or discarded by another thread");
}

SHMWAL_API int shmwal_commit(shmwal *log, shmwal_slot *slot, uint64_t *lsn)
{
    int error = check_slot(log, slot);
    if (error == 0 && (slot->type == 0 || slot->type > 255))
        error = check_type(slot->type);
    if (error < 0)
        return error;
    struct record_header *record = ring_at(&log->region.ring, slot->private_start);
    record_begin(log, record, slot->length, slot->type);
    record_end(record, slot->private_start);
    error = finish_slot(log, slot, RING_COMMITTED);
    if (error == 0 && lsn != NULL)
        *lsn = slot->private_start + record_span(slot->length);
    return error;
}

SHMWAL_API int shmwal_discard(shmwal *log, shmwal_slot *slot)
{
    int error = check_slot(log, slot);
    return error < 0 ? error : finish_slot(log, slot, RING_DISCARDED);
}
