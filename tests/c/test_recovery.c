/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_pread_full,--wrap=spare_want
 *
 * Recovery, case by case: the labels are those of the table in store/recovery.h. What recovery
 * says, a reader and verify must say too. */
#include "disk.h"
#include "store/recovery.h"
#include "store/spare.h"
#include "sys/file.h"

static bool device_cannot_read;

ssize_t __real_sys_pread_full(int fd, void *data, size_t length, uint64_t offset);
ssize_t __wrap_sys_pread_full(int fd, void *data, size_t length, uint64_t offset);
ssize_t __wrap_sys_pread_full(int fd, void *data, size_t length, uint64_t offset)
{
    if (device_cannot_read && offset > 0)
        return -EIO;
    return __real_sys_pread_full(fd, data, length, offset);
}

/* Without spares, a segment is left only when it is full. */
void __wrap_spare_want(struct spare *spare, enum spare_kind kind);
void __wrap_spare_want(struct spare *spare, enum spare_kind kind)
{
    (void)spare;
    (void)kind;
}

/* ---- Logs to recover ---- */

/* Frames of the last segment, as they lie in the file. */
static struct {
    uint64_t offset, first_lsn, end_offset, end_lsn;
    enum frame_kind kind;
} frames[64];
static unsigned frame_count;

static void list_frames(uint64_t first_lsn)
{
    struct segment segment;
    const struct frame_header *frame;
    struct scan scan = {0};
    OK(segment_open(disk.segments_fd, first_lsn, disk.meta.uuid, SEGMENT_READ, SYNC_FDATASYNC,
                    &segment));
    scan_start(&scan, &segment);
    frame_count = 0;
    for (uint64_t offset = scan.offset; scan_next(&scan, &frame) == 1; offset = scan.offset) {
        frames[frame_count].offset = offset;
        frames[frame_count].first_lsn = frame->first_lsn;
        frames[frame_count].kind = (enum frame_kind)frame->kind;
        frames[frame_count].end_offset = scan.offset;
        frames[frame_count++].end_lsn = scan.lsn;
    }
    scan_close(&scan);
    segment_close(&segment);
}

/* Three data frames; the creation's seal stands before them. Sealed, or as a killed flusher
 * leaves it. */
static void write_three(bool sealed)
{
    struct store *store = disk_store();
    OK(disk_write(store, 5));
    OK(disk_write(store, 40));
    OK(disk_write(store, 9));
    if (sealed)
        OK(store_idle(store));
    disk_abandon(store);
    list_frames(0);
    ck_assert_uint_eq(frame_count, sealed ? 5 : 4);
}

static void write_segments(unsigned segments)
{
    struct store *store = disk_store();
    while (disk_segments() < segments)
        OK(disk_write(store, 30));
    OK(disk_write(store, 5));
    OK(store_close(store));
    ck_assert_uint_eq(disk_segments(), segments);
}

static void expect_end(uint64_t expected)
{
    uint64_t end;
    OK(disk_recover(&end));
    ck_assert_uint_eq(end, expected);
}

static enum recovery_case verdict(void)
{
    struct recovery recovery;
    OK(recovery_run(&disk, FORMAT_LSN_NONE, &recovery));
    return recovery.verdict;
}

/* Recovery, store, reader and verify agree that the log is damaged, and the last two on the
 * place. */
static void expect_damage(const char *path, uint64_t offset, uint64_t lsn)
{
    const char *name = strrchr(path, '/') + 1;
    struct disk_reading reading = disk_read();
    shmwal_verification result = {.size = sizeof result};
    ck_assert_int_eq(reading.status, -EBADMSG);
    ck_assert(reading.found);
    ck_assert_str_eq(reading.segment, name);
    ck_assert_uint_eq(reading.damage.offset, offset);
    ck_assert_uint_eq(reading.damage.lsn, lsn);
    ck_assert_uint_eq(reading.lsn, lsn); /* all that precedes it was yielded */
    OK(shmwal_verify(support_log, &result, NULL, NULL));
    ck_assert(result.damaged && !result.torn);
    ck_assert_str_eq(result.damage.segment, name);
    ck_assert_uint_eq(result.damage.offset, offset);
    ck_assert_uint_eq(result.last_lsn, lsn);
}

static void expect_refused(void)
{
    uint64_t end;
    struct store *store;
    FAILS(EBADMSG, disk_recover(&end));
    FAILS(EBADMSG, store_open(&disk, disk_lsn, &store));
}

static void expect_torn(uint64_t offset, uint64_t lsn)
{
    struct disk_reading reading = disk_read();
    shmwal_verification result = {.size = sizeof result};
    ck_assert_int_eq(verdict(), RECOVERY_TORN);
    expect_end(lsn);
    ck_assert_int_eq(reading.status, 0);
    ck_assert_uint_eq(reading.lsn, lsn);
    ck_assert(reading.found);
    ck_assert_uint_eq(reading.damage.offset, offset);
    OK(shmwal_verify(support_log, &result, NULL, NULL));
    ck_assert(result.torn && !result.damaged);
    ck_assert_uint_eq(result.last_lsn, lsn);
}

/* A new store begins at `lsn`, and what it writes is all that stands behind it. */
static void expect_goes_on_at(uint64_t lsn)
{
    disk_records = disk_first_after(lsn);
    disk_lsn = lsn;
    struct store *store = disk_store();
    OK(disk_write(store, 7));
    OK(store_close(store));
    struct disk_reading reading = disk_read();
    ck_assert_int_eq(reading.status, 0);
    ck_assert_uint_eq(reading.records, disk_records);
    ck_assert(!reading.found);
}

/* ---- The last segment ---- */

START_TEST(case_a_sealed_log_goes_on_in_its_segment)
{
    write_three(true);
    ck_assert_int_eq(verdict(), RECOVERY_SEALED);
    expect_end(disk_lsn);
    expect_goes_on_at(disk_lsn);
    ck_assert_uint_eq(disk_segments(), 1);
}
END_TEST

START_TEST(case_a_new_log_is_sealed_at_zero)
{
    ck_assert_int_eq(verdict(), RECOVERY_SEALED);
    expect_end(0);
    struct disk_reading reading = disk_read();
    ck_assert_int_eq(reading.status, 0);
    ck_assert_uint_eq(reading.records, 0);
    ck_assert(!reading.found);
}
END_TEST

START_TEST(case_b_unsealed_log_goes_on_in_another_segment)
{
    write_three(false);
    ck_assert_int_eq(verdict(), RECOVERY_UNSEALED);
    expect_end(disk_lsn);
    ck_assert(!disk_read().found);
    expect_goes_on_at(disk_lsn);
    ck_assert_uint_eq(disk_segments(), 2);
}
END_TEST

START_TEST(case_b_segment_that_holds_nothing_gives_up_its_name)
{
    write_three(false);
    uint64_t end = disk_lsn;
    store_close(disk_store());                             /* seals the new segment at `end` ... */
    disk_zero(disk_path(end), FORMAT_BLOCK, FORMAT_BLOCK); /* ... which the crash undoes */
    ck_assert_int_eq(verdict(), RECOVERY_UNSEALED);
    struct segment_header before = disk_header(end);
    expect_goes_on_at(end);
    struct segment_header after = disk_header(end);
    ck_assert_uint_eq(disk_segments(), 2);
    ck_assert_uint_gt(after.number, before.number);
    ck_assert_uint_eq(after.previous_first_lsn, before.previous_first_lsn);
    ck_assert_uint_ne(after.salt, before.salt);
}
END_TEST

START_TEST(case_c_torn_at_any_sector_of_the_last_frame)
{
    enum { SECTOR = 512 };
    static char saved[DISK_SEGMENT_BYTES];
    write_three(false);
    unsigned last = frame_count - 1;
    uint64_t used = frames[last].end_lsn - frames[last].first_lsn + sizeof(struct frame_header);
    disk_get(disk_path(0), 0, saved, sizeof saved);
    for (uint64_t at = 0; at < used; at += SECTOR) {
        size_t length = at + SECTOR < used ? SECTOR : used - at;
        disk_set(disk_path(0), 0, saved, sizeof saved);
        disk_zero(disk_path(0), frames[last].offset + at, length); /* this one did not get there */
        if (used > length)
            expect_torn(frames[last].offset, frames[last].first_lsn);
        disk_set(disk_path(0), 0, saved, sizeof saved);
        disk_zero(disk_path(0), frames[last].offset + at, used - at); /* nor any behind it */
        if (at > 0)
            expect_torn(frames[last].offset, frames[last].first_lsn);
        else
            expect_end(frames[last].first_lsn);
    }
    disk_set(disk_path(0), 0, saved, sizeof saved);
    disk_flip(disk_path(0), frames[last].offset + 100, 1);
    expect_goes_on_at(frames[last].first_lsn);
}
END_TEST

START_TEST(case_c_torn_behind_a_seal)
{
    write_three(true);
    static const char garbage[600] = {[599] = 1};
    disk_set(disk_path(0), frames[frame_count - 1].end_offset, garbage, sizeof garbage);
    expect_torn(frames[frame_count - 1].end_offset, disk_lsn);
    expect_goes_on_at(disk_lsn);
    ck_assert_uint_eq(disk_segments(), 2);
}
END_TEST

/* It says only that what came before the torn place was durable. */
START_TEST(case_c_frame_behind_that_was_issued_before_is_no_proof)
{
    write_three(false);
    struct segment_header header = disk_header(0);
    uint64_t torn = frames[frame_count - 1].end_offset;
    struct frame_header *frame = (struct frame_header *)disk_frame;
    uint64_t bytes = disk_gather(3);
    disk_set(disk_path(0), torn, "torn", 4);
    frame_seal_header(frame, FRAME_DATA, disk_lsn, disk_lsn, 1, bytes, 3, header.salt);
    disk_set(disk_path(0), torn + FORMAT_BLOCK, frame, sizeof *frame + bytes);
    expect_torn(torn, disk_lsn);
    frame_seal_header(frame, FRAME_DATA, disk_lsn, disk_lsn + FORMAT_UNIT, 1, bytes, 3,
                      header.salt);
    disk_set(disk_path(0), torn + FORMAT_BLOCK, frame, sizeof *frame + bytes);
    expect_refused();
    expect_damage(disk_path(0), torn, disk_lsn);
}
END_TEST

/* Of three frames in flight the first one, or a part of it, did not get there. */
START_TEST(case_c_hole_among_frames_in_flight)
{
    static char saved[DISK_SEGMENT_BYTES];
    struct segment_header header = disk_header(0);
    struct store *store = disk_store();
    OK(disk_write(store, 5));
    disk_abandon(store);
    list_frames(0);
    uint64_t durable = disk_lsn, offset = frames[frame_count - 1].end_offset, hole = offset;
    struct frame_header *frame = (struct frame_header *)disk_frame;
    for (int i = 0; i < 3; i++) {
        uint64_t bytes = disk_gather(40);
        frame_seal_header(frame, FRAME_DATA, disk_lsn, durable, 1, bytes, 40, header.salt);
        disk_set(disk_path(0), offset, frame, frame_file_bytes(bytes));
        offset += frame_file_bytes(bytes);
        disk_lsn += bytes;
        disk_records += 40;
    }
    expect_end(disk_lsn); /* all have landed */
    disk_get(disk_path(0), 0, saved, sizeof saved);
    for (uint64_t lost = FORMAT_BLOCK; lost <= 2UL * FORMAT_BLOCK; lost += FORMAT_BLOCK) {
        disk_set(disk_path(0), 0, saved, sizeof saved);
        disk_zero(disk_path(0), hole, lost);
        expect_torn(hole, durable);
    }
    expect_goes_on_at(durable);
}
END_TEST

START_TEST(case_c_torn_frame_never_becomes_valid_again)
{
    write_three(false);
    char sector[512];
    unsigned last = frame_count - 1;
    disk_get(disk_path(0), frames[last].offset, sector, sizeof sector);
    disk_zero(disk_path(0), frames[last].offset, sizeof sector);
    expect_goes_on_at(frames[last].first_lsn);
    disk_set(disk_path(0), frames[last].offset, sector, sizeof sector);
    struct disk_reading reading = disk_read();
    ck_assert_int_eq(reading.status, 0);
    ck_assert_uint_eq(reading.records, disk_records);
}
END_TEST

START_TEST(case_d_rotten_frame_with_a_later_one_is_refused)
{
    write_three(false);
    for (unsigned i = 0; i + 1 < frame_count; i++) {
        if (frames[i].kind != FRAME_DATA)
            continue;
        disk_flip(disk_path(0), frames[i].offset + 70, 4);
        expect_refused();
        expect_damage(disk_path(0), frames[i].offset, frames[i].first_lsn);
        disk_flip(disk_path(0), frames[i].offset + 70, 4);
    }
    expect_end(disk_lsn);
}
END_TEST

START_TEST(case_d_seal_covers_the_last_frame)
{
    write_three(true);
    unsigned last = frame_count - 2;
    disk_zero(disk_path(0), frames[last].offset, frames[last].end_offset - frames[last].offset);
    expect_refused();
    expect_damage(disk_path(0), frames[last].offset, frames[last].first_lsn);
}
END_TEST

START_TEST(case_d_wherever_a_sealed_log_rots_it_is_refused)
{
    write_three(true);
    unsigned seal = frame_count - 1;
    for (unsigned i = 0; i < seal; i++) {
        uint64_t used = frames[i].end_lsn - frames[i].first_lsn + sizeof(struct frame_header);
        for (uint64_t at = 0; at < used; at += i == 0 ? 1 : 29) {
            uint64_t end;
            disk_flip(disk_path(0), frames[i].offset + at, (unsigned char)(1 << at % 8));
            int error = disk_recover(&end);
            ck_assert_msg(error == -EBADMSG, "frame %u, byte %lu: %d", i, at, error);
            ck_assert_int_eq(disk_read().status, -EBADMSG);
            disk_flip(disk_path(0), frames[i].offset + at, (unsigned char)(1 << at % 8));
        }
    }
    expect_end(disk_lsn);
}
END_TEST

START_TEST(case_e_lost_successor_is_refused)
{
    write_segments(2);
    list_frames(0);
    unsigned last = frame_count - 1;
    ck_assert_int_eq(frames[last].kind, FRAME_ROLL);
    ck_assert_int_eq(unlink(disk_path(disk_segment_lsn(1))), 0);
    expect_refused();
    expect_damage(disk_path(0), frames[last].offset, frames[last].first_lsn);
}
END_TEST

/* ---- With a successor ---- */

START_TEST(case_f_successor_cuts_off_what_lies_beyond)
{
    write_three(false);
    uint64_t cut = frames[frame_count - 1].first_lsn;
    expect_goes_on_at(
        cut); /* the last frame of the first segment is cut off by a ring that knew less */
    struct segment_header header = disk_header(disk_segment_lsn(1));
    ck_assert_uint_eq(header.first_lsn, cut);
}
END_TEST

START_TEST(case_g_segment_that_does_not_reach_its_successor_is_damaged)
{
    write_segments(3);
    uint64_t middle = disk_segment_lsn(1);
    list_frames(middle);
    for (unsigned i = 0; i + 1 < frame_count; i++) {
        disk_flip(disk_path(middle), frames[i].offset + 20, 1);
        expect_damage(disk_path(middle), frames[i].offset, frames[i].first_lsn);
        expect_end(
            disk_lsn); /* recovery reads the last segment only, and can tell nothing of this */
        disk_flip(disk_path(middle), frames[i].offset + 20, 1);
    }
    ck_assert_int_eq(disk_read().status, 0);
}
END_TEST

START_TEST(case_g_roll_mark_before_its_time_is_damage)
{
    write_segments(2);
    struct segment segment;
    list_frames(0);
    unsigned place = frame_count / 2;
    OK(segment_open(disk.segments_fd, 0, disk.meta.uuid, SEGMENT_WRITE, SYNC_FDATASYNC, &segment));
    OK(segment_write_mark(&segment, FRAME_ROLL, frames[place].offset, frames[place].first_lsn));
    segment_close(&segment);
    expect_damage(disk_path(0), frames[place].offset, frames[place].first_lsn);
}
END_TEST

/* Puts an empty segment behind the first one. */
static void add_segment(uint64_t first_lsn, uint64_t number)
{
    struct segment segment;
    struct segment_header wanted = disk_header(0);
    wanted.number = number;
    wanted.previous_first_lsn = 0;
    wanted.first_lsn = first_lsn;
    OK(segment_create(disk.segments_fd, "x.tmp", false, &wanted, SYNC_FDATASYNC, &segment));
    ck_assert_int_eq(renameat(disk.segments_fd, "x.tmp", disk.segments_fd, segment.name), 0);
    segment_close(&segment);
}

START_TEST(case_g_frame_across_the_successors_beginning_is_damage)
{
    write_three(false);
    add_segment(frames[2].end_lsn - FORMAT_UNIT, 1);
    expect_damage(disk_path(0), frames[2].offset, frames[2].first_lsn);
}
END_TEST

/* ---- With a ring ---- */

START_TEST(case_h_ring_that_knew_less_cuts_at_any_frame)
{
    static char saved[DISK_SEGMENT_BYTES];
    bool sealed = _i == 1;
    write_three(sealed);
    uint64_t end = disk_lsn;
    disk_get(disk_path(0), 0, saved, sizeof saved);
    for (unsigned i = 0; i < frame_count; i++) {
        uint64_t cut = frames[i].end_lsn;
        expect_goes_on_at(cut);
        unsigned segments = disk_segments();
        uint64_t added = disk_segment_lsn(segments - 1);
        bool here = cut == 0 || (sealed && cut == end); /* replaced, or resumed */
        ck_assert_uint_eq(segments, here ? 1 : 2);
        if (!here)
            ck_assert_int_eq(unlink(disk_path(added)), 0);
        disk_set(disk_path(0), 0, saved, sizeof saved);
        disk_records = 54;
        disk_gather(0);
    }
}
END_TEST

START_TEST(case_i_ring_that_knew_more_is_refused)
{
    struct store *store;
    write_three(true);
    FAILS(EBADMSG, store_open(&disk, disk_lsn + FORMAT_UNIT, &store));
    FAILS(EBADMSG, store_open(&disk, disk_lsn - FORMAT_UNIT, &store)); /* inside a frame */
    OK(store_open(&disk, disk_lsn, &store));
    OK(store_close(store));
}
END_TEST

START_TEST(case_i_ring_below_the_last_segment_is_refused)
{
    struct store *store;
    write_segments(2);
    FAILS(EBADMSG, store_open(&disk, disk_segment_lsn(1) - FORMAT_UNIT, &store));
}
END_TEST

/* ---- The chain ---- */

START_TEST(case_j_missing_middle_segment)
{
    write_segments(4);
    uint64_t missing = disk_segment_lsn(1);
    list_frames(0);
    ck_assert_int_eq(unlink(disk_path(missing)), 0);
    expect_refused();
    expect_damage(disk_path(0), frames[frame_count - 1].offset, missing);
}
END_TEST

START_TEST(case_j_doubled_or_renamed_segment)
{
    write_segments(4);
    uint64_t second = disk_segment_lsn(1), third = disk_segment_lsn(2);
    ck_assert_int_eq(link(disk_path(second), disk_path(third + FORMAT_UNIT)), 0);
    expect_refused();
    ck_assert_int_eq(unlink(disk_path(third + FORMAT_UNIT)), 0);
    expect_end(disk_lsn);
    ck_assert_int_eq(rename(disk_path(second), disk_path(second + FORMAT_UNIT)), 0);
    expect_refused();
    ck_assert_int_eq(disk_read().status, -EBADMSG);
}
END_TEST

START_TEST(case_j_swapped_segments)
{
    write_segments(4);
    uint64_t second = disk_segment_lsn(1), third = disk_segment_lsn(2);
    char aside[200];
    snprintf(aside, sizeof aside, "%s/aside", support_log);
    ck_assert_int_eq(rename(disk_path(second), aside), 0);
    ck_assert_int_eq(rename(disk_path(third), disk_path(second)), 0);
    ck_assert_int_eq(rename(aside, disk_path(third)), 0);
    expect_refused();
    expect_damage(disk_path(second), 0, second);
}
END_TEST

START_TEST(case_j_successor_that_is_older)
{
    write_three(false);
    add_segment(disk_lsn, 0);
    expect_refused();
    expect_damage(disk_path(disk_lsn), 0, disk_lsn);
}
END_TEST

START_TEST(case_j_shortened_segment)
{
    write_segments(3);
    uint64_t first = disk_segment_lsn(1);
    ck_assert_int_eq(truncate(disk_path(first), DISK_SEGMENT_BYTES - 1), 0);
    expect_refused();
    expect_damage(disk_path(first), 0, first);
    ck_assert_int_eq(truncate(disk_path(first), 100), 0);
    expect_refused();
    ck_assert_int_eq(truncate(disk_path(first), 0), 0);
    expect_refused();
}
END_TEST

START_TEST(case_j_spoiled_header)
{
    write_segments(3);
    uint64_t first = disk_segment_lsn(1);
    for (uint64_t at = 0; at < 96; at++) {
        uint64_t end;
        disk_flip(disk_path(first), at, 2);
        int error = disk_recover(&end);
        ck_assert_msg(error == -EBADMSG || error == -EPROTO, "byte %lu: %d", at, error);
        disk_flip(disk_path(first), at, 2);
    }
    expect_end(disk_lsn);
}
END_TEST

START_TEST(case_j_segment_of_another_log)
{
    char other[200];
    struct directory another;
    write_segments(2);
    snprintf(other, sizeof other, "%s/other", support_directory);
    OK(directory_create(other, 64 * 1024, DISK_SEGMENT_BYTES));
    OK(directory_open(other, true, &another));
    char name[SEGMENT_NAME_BYTES];
    segment_name(0, name);
    ck_assert_int_eq(renameat(another.segments_fd, name, disk.segments_fd, name), 0);
    directory_close(&another);
    expect_refused();
    expect_damage(disk_path(0), 0, 0);
}
END_TEST

START_TEST(case_j_no_segment_at_all)
{
    ck_assert_int_eq(unlink(disk_path(0)), 0);
    expect_refused();
    ck_assert_int_eq(disk_read().status, -EBADMSG);
    shmwal_verification result = {.size = sizeof result};
    OK(shmwal_verify(support_log, &result, NULL, NULL));
    ck_assert(result.damaged);
}
END_TEST

START_TEST(case_j_name_that_is_none)
{
    write_segments(2);
    int fd = openat(disk.segments_fd, "copy.seg", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    expect_refused();
    ck_assert_ptr_nonnull(strstr(fail_sentence(), "copy.seg"));
}
END_TEST

START_TEST(case_j_fifo_in_a_segments_place)
{
    write_segments(2);
    uint64_t last = disk_segment_lsn(1);
    ck_assert_int_eq(unlink(disk_path(last)), 0);
    ck_assert_int_eq(mkfifo(disk_path(last), 0600), 0);
    expect_refused();
}
END_TEST

START_TEST(case_j_missing_oldest_segment)
{
    write_segments(4);
    uint64_t second = disk_segment_lsn(1);
    ck_assert_int_eq(unlink(disk_path(0)), 0);
    expect_refused();
    expect_damage(disk_path(0), 0, 0);
    struct disk_reading reading = disk_read_from(second); /* what is there may be asked for */
    ck_assert_int_eq(reading.status, 0);
    ck_assert_uint_eq(reading.lsn, disk_lsn);
}
END_TEST

/* ---- Errors, and again ---- */

START_TEST(case_k_read_that_fails_is_no_verdict)
{
    write_three(false);
    uint64_t end;
    struct store *store;
    device_cannot_read = true;
    FAILS(EIO, disk_recover(&end));
    FAILS(EIO, store_open(&disk, disk_lsn, &store));
    ck_assert_int_eq(disk_read().status, -EIO);
    device_cannot_read = false;
    expect_end(disk_lsn);
    ck_assert_uint_eq(disk_segments(), 1);
}
END_TEST

START_TEST(recovery_changes_nothing_and_says_the_same_again)
{
    static char before[DISK_SEGMENT_BYTES], after[DISK_SEGMENT_BYTES];
    write_three(false);
    disk_flip(disk_path(0), frames[frame_count - 1].offset + 80, 1);
    disk_get(disk_path(0), 0, before, sizeof before);
    for (int i = 0; i < 3; i++)
        expect_torn(frames[frame_count - 1].offset, frames[frame_count - 1].first_lsn);
    disk_get(disk_path(0), 0, after, sizeof after);
    ck_assert_int_eq(memcmp(before, after, sizeof after), 0);
    ck_assert_uint_eq(disk_segments(), 1);
}
END_TEST

/* Whatever single bit flips: nothing altered is yielded, and if no error is said all is there
 * but, at most, the last frame, which nothing on disk proves to have been durable. disk_read()
 * checks what it yields. */
START_TEST(no_flipped_bit_is_believed)
{
    write_three(false);
    uint64_t least = disk_first_after(frames[frame_count - 1].first_lsn);
    uint64_t end = frames[frame_count - 1].end_offset;
    for (uint64_t at = 0; at < end; at += 17) {
        disk_flip(disk_path(0), at, (unsigned char)(1 << at % 8));
        struct disk_reading reading = disk_read();
        if (reading.status == 0)
            ck_assert_msg(reading.records >= least, "byte %lu: %u", at, reading.records);
        else
            ck_assert(reading.status == -EBADMSG || reading.status == -EPROTO);
        disk_flip(disk_path(0), at, (unsigned char)(1 << at % 8));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("recovery");
    TCase *tests = tcase_create("recovery");
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, disk_teardown);
    tcase_set_timeout(tests, 300);
    const TTest *const all[] = {case_a_sealed_log_goes_on_in_its_segment,
                                case_a_new_log_is_sealed_at_zero,
                                case_b_unsealed_log_goes_on_in_another_segment,
                                case_b_segment_that_holds_nothing_gives_up_its_name,
                                case_c_torn_at_any_sector_of_the_last_frame,
                                case_c_torn_behind_a_seal,
                                case_c_frame_behind_that_was_issued_before_is_no_proof,
                                case_c_hole_among_frames_in_flight,
                                case_c_torn_frame_never_becomes_valid_again,
                                case_d_rotten_frame_with_a_later_one_is_refused,
                                case_d_seal_covers_the_last_frame,
                                case_d_wherever_a_sealed_log_rots_it_is_refused,
                                case_e_lost_successor_is_refused,
                                case_f_successor_cuts_off_what_lies_beyond,
                                case_g_segment_that_does_not_reach_its_successor_is_damaged,
                                case_g_roll_mark_before_its_time_is_damage,
                                case_g_frame_across_the_successors_beginning_is_damage,
                                case_i_ring_that_knew_more_is_refused,
                                case_i_ring_below_the_last_segment_is_refused,
                                case_j_missing_middle_segment,
                                case_j_doubled_or_renamed_segment,
                                case_j_swapped_segments,
                                case_j_successor_that_is_older,
                                case_j_shortened_segment,
                                case_j_spoiled_header,
                                case_j_segment_of_another_log,
                                case_j_no_segment_at_all,
                                case_j_name_that_is_none,
                                case_j_fifo_in_a_segments_place,
                                case_j_missing_oldest_segment,
                                case_k_read_that_fails_is_no_verdict,
                                recovery_changes_nothing_and_says_the_same_again,
                                no_flipped_bit_is_believed};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tcase_add_test(tests, all[i]);
    tcase_add_loop_test(tests, case_h_ring_that_knew_less_cuts_at_any_frame, 0, 2);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
