/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=region_view_open,--wrap=region_view_close,--wrap=region_view_durable
 * LDFLAGS: -Wl,--wrap=region_view_gone,--wrap=region_view_wait,--wrap=sys_pread_full
 * LDFLAGS: -Wl,--wrap=spare_want
 *
 * The reader, with a ring and without one, and while rings, segments and flushers come and go. */
#include "disk.h"
#include "fake_ring.h"
#include "store/spare.h"

#include <pthread.h>

void __wrap_spare_want(struct spare *spare, enum spare_kind kind);
void __wrap_spare_want(struct spare *spare, enum spare_kind kind)
{
    (void)spare;
    (void)kind;
}

static shmwal_reader *reader;

static void open_reader(uint64_t from_lsn)
{
    OK(shmwal_reader_open(support_log, from_lsn, &reader));
}

static void close_reader(void)
{
    OK(shmwal_reader_close(reader));
    reader = NULL;
}

/* The next records are those from `first` to before `end`, and then it is the end for now. */
static void expect_records(unsigned first, unsigned end)
{
    shmwal_record record;
    for (unsigned number = first; number < end; number++) {
        int got = shmwal_reader_next(reader, &record);
        ck_assert_msg(got == 1, "record %u: %d, %s", number, got, fail_sentence());
        disk_check_record(&record, number);
    }
    int got = shmwal_reader_next(reader, &record);
    ck_assert_msg(got == 0, "behind record %u: %d, %s", end, got, fail_sentence());
}

static void expect_damaged(void)
{
    shmwal_record record;
    shmwal_damage damage;
    FAILS(EBADMSG, shmwal_reader_next(reader, &record));
    FAILS(EBADMSG, shmwal_reader_next(reader, &record)); /* it stays there */
    ck_assert_int_eq(shmwal_reader_damage(reader, &damage), 1);
}

static void write_frames(struct store *store, unsigned frames)
{
    for (unsigned i = 0; i < frames; i++)
        OK(disk_write(store, 10));
}

/* ---- Without a ring ---- */

START_TEST(reader_yields_everything_over_many_segments)
{
    struct store *store = disk_store();
    write_frames(store, 150);
    OK(store_close(store));
    ck_assert_uint_gt(disk_segments(), 2);
    open_reader(0);
    expect_records(0, disk_records);
}
END_TEST

START_TEST(reader_begins_behind_the_lsn_it_is_given)
{
    struct store *store = disk_store();
    write_frames(store, 60);
    OK(store_close(store));
    for (unsigned i = 0; i < disk_records; i += 1 + i / 20) {
        open_reader(disk_ends[i]);
        expect_records(i + 1, disk_records);
        close_reader();
    }
}
END_TEST

START_TEST(reader_that_begins_within_a_record_begins_with_the_next)
{
    struct store *store = disk_store();
    write_frames(store, 5);
    OK(store_close(store));
    for (unsigned i = 0; i + 1 < disk_records; i++)
        for (uint64_t lsn = i == 0 ? 1 : disk_ends[i - 1] + 1; lsn < disk_ends[i]; lsn += 21) {
            open_reader(lsn);
            expect_records(i + 1, disk_records);
            close_reader();
        }
}
END_TEST

START_TEST(reader_from_beyond_the_end_is_refused)
{
    struct store *store = disk_store();
    write_frames(store, 5);
    OK(store_close(store));
    FAILS(ERANGE, shmwal_reader_open(support_log, disk_lsn + 1, &reader));
    FAILS(ERANGE, shmwal_reader_open(support_log, UINT64_MAX, &reader));
    open_reader(disk_lsn);
    expect_records(disk_records, disk_records);
    close_reader();
    fake_ring_make(disk_ends[9]);
    FAILS(ERANGE, shmwal_reader_open(support_log, disk_ends[9] + 1, &reader));
    open_reader(disk_ends[9]);
}
END_TEST

START_TEST(batch_holds_valid_records_together)
{
    enum { CAPACITY = 7 };
    struct store *store = disk_store();
    shmwal_record records[CAPACITY];
    unsigned number = 0;
    int got;
    write_frames(store, 20);
    OK(store_close(store));
    open_reader(0);
    while ((got = shmwal_reader_next_batch(reader, records, CAPACITY)) > 0) {
        ck_assert_int_le(got, CAPACITY);
        for (int i = 0; i < got; i++)
            disk_check_record(&records[i], number++);
    }
    ck_assert_int_eq(got, 0);
    ck_assert_uint_eq(number, disk_records);
}
END_TEST

START_TEST(fillers_are_passed_over)
{
    struct store *store = disk_store();
    struct frame_header *frame = (struct frame_header *)disk_frame;
    write_frames(store, 1);
    record_write_filler(frame + 1, 192, 1, disk_lsn);
    OK(store_write(store, frame, disk_lsn, 192, 1));
    disk_lsn += 192;
    write_frames(store, 1);
    OK(store_close(store));
    open_reader(0);
    expect_records(0, disk_records);
}
END_TEST

START_TEST(reader_sees_what_comes_later)
{
    struct store *store = disk_store();
    open_reader(0);
    expect_records(0, 0);
    for (int round = 0; round < 100; round++) {
        unsigned before = disk_records;
        write_frames(store, 1);
        if (round % 10 == 0)
            OK(store_idle(store));
        expect_records(before, disk_records);
    }
    ck_assert_uint_gt(disk_segments(), 1);
    OK(store_close(store));
}
END_TEST

START_TEST(torn_tail_is_told_and_forgotten_once_it_is_cut)
{
    shmwal_damage damage;
    struct store *store = disk_store();
    write_frames(store, 1);
    static const char garbage[100] = "torn";
    disk_set(disk_path(0), 3 * FORMAT_BLOCK, garbage, sizeof garbage);
    open_reader(0);
    ck_assert_int_eq(shmwal_reader_damage(reader, &damage), 0);
    expect_records(0, disk_records);
    ck_assert_int_eq(shmwal_reader_damage(reader, &damage), 1);
    ck_assert_uint_eq(damage.lsn, disk_lsn);
    unsigned before = disk_records;
    disk_abandon(store);
    store = disk_store();
    write_frames(store, 1);
    OK(store_close(store));
    expect_records(before, disk_records);
    ck_assert_int_eq(shmwal_reader_damage(reader, &damage), 0);
}
END_TEST

/* Looked at while it is written: zeros first, then a part, then all. */
START_TEST(frame_that_looked_torn_in_the_making_is_read_once_it_is_whole)
{
    static char whole[2 * FORMAT_BLOCK];
    shmwal_damage damage;
    struct store *store = disk_store();
    write_frames(store, 2);
    uint64_t offset = 3 * FORMAT_BLOCK; /* behind the header, a seal and a frame */
    disk_get(disk_path(0), offset, whole, sizeof whole);
    disk_zero(disk_path(0), offset, sizeof whole);
    open_reader(0);
    expect_records(0, 10);
    ck_assert_int_eq(shmwal_reader_damage(reader, NULL), 0);
    disk_set(disk_path(0), offset, whole, 100);
    expect_records(10, 10);
    ck_assert_int_eq(shmwal_reader_damage(reader, NULL), 1);
    disk_set(disk_path(0), offset, whole, sizeof whole);
    expect_records(10, 20);
    ck_assert_int_eq(shmwal_reader_damage(reader, &damage), 0);
    disk_abandon(store);
}
END_TEST

static void write_segments(unsigned segments)
{
    struct store *store = disk_store();
    while (disk_segments() < segments)
        write_frames(store, 1);
    OK(store_close(store));
}

START_TEST(segment_that_goes_while_the_log_is_read_is_damage)
{
    shmwal_record record;
    write_segments(3);
    uint64_t third = disk_segment_lsn(2);
    open_reader(0);
    ck_assert_int_eq(unlink(disk_path(third)), 0);
    for (unsigned number = 0; number < disk_first_after(third); number++)
        ck_assert_int_eq(shmwal_reader_next(reader, &record), 1);
    expect_damaged();
}
END_TEST

START_TEST(missing_or_spoiled_segment_is_damage_wherever_a_reader_begins)
{
    write_segments(3);
    uint64_t second = disk_segment_lsn(1);
    ck_assert_int_eq(unlink(disk_path(0)), 0);
    open_reader(disk_ends[3]); /* in front of all that is there */
    expect_damaged();
    close_reader();
    disk_flip(disk_path(second), 72, 1);
    open_reader(second + 10 * FORMAT_UNIT); /* in the spoiled one */
    expect_damaged();
}
END_TEST

/* It was made between the reader's look for it and that at the mark which tells of it. */
static void successor_comes(void)
{
    char aside[160];
    snprintf(aside, sizeof aside, "%s/aside", support_log);
    ck_assert_int_eq(rename(aside, disk_path(disk_ends[disk_records - 11])), 0);
}

START_TEST(segment_that_comes_just_before_its_mark_is_read_is_followed)
{
    char aside[160];
    snprintf(aside, sizeof aside, "%s/aside", support_log);
    struct store *store = disk_store();
    while (disk_segments() < 2)
        write_frames(store, 1);
    uint64_t second = disk_segment_lsn(1);
    ck_assert_uint_eq(second, disk_ends[disk_records - 11]);
    ck_assert_int_eq(rename(disk_path(second), aside), 0);
    fake_ring_make(second);
    open_reader(0);
    expect_records(0, disk_records - 10);
    fake_ring_raise(disk_lsn);
    after_read = successor_comes;
    expect_records(disk_records - 10, disk_records);
    ck_assert_ptr_null(after_read);
    disk_abandon(store);
}
END_TEST

START_TEST(reader_takes_a_copy_and_a_symbolic_link)
{
    char command[400], path[200];
    struct store *store = disk_store();
    write_frames(store, 5);
    OK(store_close(store));
    snprintf(path, sizeof path, "%s/link", support_directory);
    ck_assert_int_eq(symlink("log", path), 0);
    OK(shmwal_reader_open(path, 0, &reader));
    expect_records(0, disk_records);
    close_reader();
    snprintf(command, sizeof command,
             "cd %s && cp -r log copy && rm copy/lock && chmod -R a-w copy", support_directory);
    ck_assert_int_eq(system(command), 0);
    snprintf(path, sizeof path, "%s/copy", support_directory);
    OK(shmwal_reader_open(path, 0, &reader));
    expect_records(0, disk_records);
    close_reader();
    snprintf(command, sizeof command, "chmod -R u+w %s/copy", support_directory);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

/* ---- With a ring ---- */

START_TEST(durable_lsn_is_the_bound)
{
    struct store *store = disk_store();
    write_frames(store, 5);
    fake_ring_make(disk_ends[19]);
    open_reader(0);
    expect_records(0, 20);
    fake_ring_raise(disk_ends[39]);
    expect_records(20, 40);
    fake_ring_raise(disk_lsn);
    expect_records(40, disk_records);
    OK(store_close(store));
}
END_TEST

START_TEST(what_is_missing_below_the_bound_is_damage)
{
    struct store *store = disk_store();
    write_frames(store, 5);
    fake_ring_make(disk_lsn + FORMAT_UNIT);
    open_reader(0);
    shmwal_record record;
    for (unsigned i = 0; i < disk_records; i++)
        ck_assert_int_eq(shmwal_reader_next(reader, &record), 1);
    expect_damaged();
    OK(store_close(store));
}
END_TEST

START_TEST(bound_within_a_frame_is_damage)
{
    struct store *store = disk_store();
    write_frames(store, 1);
    fake_ring_make(disk_ends[4]);
    open_reader(0);
    expect_damaged();
    OK(store_close(store));
}
END_TEST

START_TEST(last_frame_that_rots_below_the_bound_is_damage)
{
    struct store *store = disk_store();
    write_frames(store, 2);
    disk_flip(disk_path(0), 3 * FORMAT_BLOCK + 80, 1);
    fake_ring_make(disk_lsn);
    open_reader(0);
    shmwal_record record;
    for (unsigned i = 0; i < 10; i++)
        ck_assert_int_eq(shmwal_reader_next(reader, &record), 1);
    expect_damaged();
    OK(store_close(store));
}
END_TEST

START_TEST(durable_frames_in_front_of_the_first_lsn_are_not_read)
{
    struct store *store = disk_store();
    write_frames(store, 5);
    OK(store_close(store));
    disk_flip(disk_path(0), 3 * FORMAT_BLOCK + 80, 1); /* in the second frame's records */
    fake_ring_make(disk_lsn);
    for (unsigned i = 20; i < disk_records; i++) {
        open_reader(disk_ends[i]);
        expect_records(i + 1, disk_records);
        close_reader();
    }
    open_reader(disk_ends[15]); /* in the second frame */
    expect_damaged();
}
END_TEST

START_TEST(header_that_leads_astray_is_damage_where_it_stands)
{
    shmwal_damage damage;
    uint64_t payload_bytes;
    struct store *store = disk_store();
    write_frames(store, 9);
    OK(store_close(store));
    uint64_t offset = 4 * FORMAT_BLOCK + offsetof(struct frame_header, payload_bytes);
    disk_get(disk_path(0), offset, &payload_bytes, sizeof payload_bytes);
    payload_bytes += FORMAT_UNIT;
    disk_set(disk_path(0), offset, &payload_bytes, sizeof payload_bytes);
    fake_ring_make(disk_lsn);
    open_reader(disk_ends[65]);
    expect_damaged();
    ck_assert_int_eq(shmwal_reader_damage(reader, &damage), 1);
    ck_assert_uint_eq(damage.offset, 4 * FORMAT_BLOCK);
    ck_assert_uint_eq(damage.lsn, disk_ends[19]);
}
END_TEST

/* What is whole behind a torn frame was never acknowledged, and recovery will cut it. */
START_TEST(torn_frame_in_front_of_the_first_lsn_is_not_passed_without_a_ring)
{
    struct store *store = disk_store();
    write_frames(store, 2);
    uint64_t bytes = disk_gather(10), durable = disk_lsn;
    disk_lsn += bytes;
    disk_records += 10;
    bytes = disk_gather(10);
    struct frame_header *frame = (struct frame_header *)disk_frame;
    frame_seal_header(frame, FRAME_DATA, disk_lsn, durable, 1, bytes, 10, disk_header(0).salt);
    disk_set(disk_path(0), 5 * FORMAT_BLOCK, frame, frame_file_bytes(bytes));
    frame_seal_header(frame, FRAME_DATA, durable, durable, 1, disk_lsn - durable, 10,
                      disk_header(0).salt); /* over other records: what a tear looks like */
    frame->checksum++;
    disk_set(disk_path(0), 4 * FORMAT_BLOCK, frame, FORMAT_BLOCK);
    FAILS(ERANGE, shmwal_reader_open(support_log, disk_lsn + FORMAT_UNIT, &reader));
    OK(store_close(store));
}
END_TEST

START_TEST(ring_that_may_not_be_read_is_an_error_not_a_licence)
{
    fake_ring.open_error = EACCES;
    FAILS(EACCES, shmwal_reader_open(support_log, 0, &reader));
}
END_TEST

static void ring_cannot_be_read(void)
{
    fake_ring.open_error = EACCES;
}

/* Something is there by now, and whether its durable LSN bounds what was read is not known. */
START_TEST(ring_that_comes_and_may_not_be_read_is_an_error)
{
    shmwal_record record;
    struct store *store = disk_store();
    write_frames(store, 1);
    open_reader(0);
    after_read = ring_cannot_be_read;
    FAILS(EACCES, shmwal_reader_next(reader, &record));
    fake_ring.open_error = 0;
    expect_records(0, 10);
    fake_ring.open_error = EACCES; /* it has said that this is the end, and looks again */
    FAILS(EACCES, shmwal_reader_next(reader, &record));
    fake_ring.open_error = 0;
    fake_ring_make(disk_lsn);
    expect_records(10, 10);
    fake_ring_remove();
    fake_ring.open_error = EACCES; /* it stands at the bound, and looks for another */
    FAILS(EACCES, shmwal_reader_next(reader, &record));
    OK(store_close(store));
}
END_TEST

/* At the second read of what lies behind the last frame: the first is that of the frame. */
static void ring_cannot_be_read_later(void)
{
    after_read = ring_cannot_be_read;
}

START_TEST(ring_that_comes_unreadable_while_the_end_is_judged_is_an_error)
{
    shmwal_record record;
    directory_close(&disk);
    remove_tree(support_log);
    OK(directory_create(support_log, 0, 1 << 20)); /* the end is judged by several reads */
    OK(directory_open(support_log, true, &disk));
    struct store *store = disk_store();
    write_frames(store, 1);
    disk_abandon(store);
    open_reader(0);
    after_read = ring_cannot_be_read_later;
    for (unsigned number = 0; number < 10; number++)
        ck_assert_int_eq(shmwal_reader_next(reader, &record), 1);
    FAILS(EACCES, shmwal_reader_next(reader, &record));
    fake_ring.open_error = 0;
    expect_records(10, 10);
}
END_TEST

static void ring_comes(void)
{
    fake_ring_make(disk_ends[9]);
}

START_TEST(ring_that_comes_while_bytes_are_read_bounds_them)
{
    struct store *store = disk_store();
    write_frames(store, 3);
    open_reader(0);
    after_read = ring_comes;
    expect_records(0, 10);
    ck_assert_ptr_null(after_read);
    fake_ring_raise(disk_lsn);
    expect_records(10, disk_records);
    OK(store_close(store));
}
END_TEST

static struct store *late_store;

static void frame_comes(void)
{
    write_frames(late_store, 1);
    fake_ring_raise(disk_lsn);
}

START_TEST(bytes_read_before_the_bound_rose_are_read_again)
{
    late_store = disk_store();
    write_frames(late_store, 1);
    fake_ring_make(disk_lsn);
    open_reader(0);
    after_read = frame_comes; /* the reader's window has zeros where this frame is written */
    expect_records(0, 20);
    ck_assert_ptr_null(after_read);
    OK(store_close(late_store));
}
END_TEST

START_TEST(ring_that_goes_leaves_what_is_on_disk)
{
    struct store *store = disk_store();
    write_frames(store, 2);
    fake_ring_make(disk_ends[9]);
    open_reader(0);
    expect_records(0, 10);
    fake_ring_remove();
    expect_records(10, 20);
    fake_ring_make(disk_lsn);
    write_frames(store, 1);
    expect_records(20, 20);
    fake_ring_raise(disk_lsn);
    expect_records(20, 30);
    OK(store_close(store));
}
END_TEST

/* A frame that was written, not acknowledged, and cut off by the next flusher stands in the old
 * segment for ever; the reader that waits just before it must not take it for what came instead. */
START_TEST(frame_that_was_cut_off_is_never_yielded)
{
    struct store *store = disk_store();
    write_frames(store, 1);
    uint64_t cut = disk_lsn;
    fake_ring_make(cut);
    open_reader(0);
    expect_records(0, 10);
    OK(disk_write(store, 25)); /* on disk, but not durable for anybody */
    disk_lsn = cut;
    disk_records = 10;
    disk_abandon(store);
    store = disk_store();
    ck_assert_uint_eq(disk_segment_lsn(1), cut);
    write_frames(store, 2);
    fake_ring_raise(disk_lsn);
    expect_records(10, 30);
    OK(store_close(store));
}
END_TEST

START_TEST(segment_that_was_replaced_under_its_name_is_left)
{
    struct store *store = disk_store();
    write_frames(store, 1);
    fake_ring_make(disk_lsn);
    open_reader(0);
    disk_abandon(store);
    disk_abandon(disk_store()); /* cuts: another segment, which holds nothing yet */
    expect_records(0, 10);
    fake_ring_remove();
    expect_records(10, 10);     /* the reader stands in that one */
    disk_abandon(disk_store()); /* cuts again, and takes the name */
    ck_assert_uint_eq(disk_segments(), 2);
    fake_ring_make(disk_lsn);
    store = disk_store();
    write_frames(store, 1);
    fake_ring_raise(disk_lsn);
    expect_records(10, 20);
    OK(store_close(store));
}
END_TEST

START_TEST(older_segment_under_the_name_of_one_that_held_nothing_is_damage)
{
    char aside[160];
    snprintf(aside, sizeof aside, "%s/aside", support_log);
    struct store *store = disk_store();
    write_frames(store, 1);
    disk_abandon(store);
    disk_abandon(disk_store()); /* cuts: another segment, which holds nothing yet */
    const char *path = disk_path(disk_lsn);
    ck_assert_int_eq(link(path, aside), 0);
    disk_abandon(disk_store()); /* cuts again, and takes the name */
    open_reader(0);
    expect_records(0, 10);
    ck_assert_int_eq(rename(aside, path), 0);
    expect_damaged();
}
END_TEST

/* ---- Waiting ---- */

START_TEST(wait_gives_up_at_its_deadline)
{
    open_reader(0);
    FAILS(ETIMEDOUT, shmwal_reader_wait(reader, 0));
    FAILS(ETIMEDOUT, shmwal_reader_wait(reader, 1000000));
    fake_ring_make(0);
    FAILS(ETIMEDOUT, shmwal_reader_wait(reader, 0));
    FAILS(ETIMEDOUT, shmwal_reader_wait(reader, 1000000));
}
END_TEST

START_TEST(wait_returns_at_once_where_something_is)
{
    struct store *store = disk_store();
    shmwal_record record;
    write_frames(store, 1);
    open_reader(0);
    OK(shmwal_reader_wait(reader, 0));
    OK(shmwal_reader_wait(reader, 0));
    ck_assert_int_eq(shmwal_reader_next(reader, &record), 1);
    OK(shmwal_reader_wait(reader, 0));
    expect_records(1, disk_records);
    FAILS(ETIMEDOUT, shmwal_reader_wait(reader, 0));
    OK(store_close(store));
}
END_TEST

START_TEST(wait_tells_of_damage)
{
    struct store *store = disk_store();
    write_frames(store, 1);
    fake_ring_make(disk_lsn + FORMAT_UNIT);
    open_reader(disk_lsn);
    FAILS(EBADMSG, shmwal_reader_wait(reader, -1));
    OK(store_close(store));
}
END_TEST

static void *make_durable(void *argument)
{
    (void)argument;
    while (fake_ring.waits == 0)
        sched_yield();
    write_frames(late_store, 1);
    fake_ring_raise(disk_lsn);
    return NULL;
}

START_TEST(wait_with_a_ring_ends_when_more_is_durable)
{
    pthread_t thread;
    late_store = disk_store();
    fake_ring_make(0);
    open_reader(0);
    pthread_create(&thread, NULL, make_durable, NULL);
    OK(shmwal_reader_wait(reader, -1));
    pthread_join(thread, NULL);
    expect_records(0, disk_records);
    OK(store_close(late_store));
}
END_TEST

/* The first look at the disk has been taken: from here on only a watch, or another look, can
 * tell. */
static atomic_bool looked;

static void has_looked(void)
{
    looked = true;
}

static void *make_ring(void *touch)
{
    while (!looked)
        sched_yield();
    write_frames(late_store, 1);
    fake_ring_make(disk_lsn);
    if (touch != NULL)
        sys_touch(disk.lock_fd);
    return NULL;
}

static void wait_without_a_ring(bool touch)
{
    pthread_t thread;
    late_store = disk_store();
    open_reader(0);
    after_read = has_looked;
    pthread_create(&thread, NULL, make_ring, touch ? &thread : NULL);
    OK(shmwal_reader_wait(reader, -1));
    pthread_join(thread, NULL);
    expect_records(0, disk_records);
    OK(store_close(late_store));
}

START_TEST(wait_without_a_ring_ends_when_one_is_made)
{
    wait_without_a_ring(true);
}
END_TEST

START_TEST(wait_looks_again_where_the_lock_cannot_be_watched)
{
    char lock[160];
    snprintf(lock, sizeof lock, "%s/lock", support_log);
    ck_assert_int_eq(unlink(lock), 0);
    wait_without_a_ring(false);
}
END_TEST

START_TEST(wait_that_cannot_watch_keeps_its_deadline)
{
    char lock[160];
    snprintf(lock, sizeof lock, "%s/lock", support_log);
    ck_assert_int_eq(unlink(lock), 0);
    open_reader(0);
    FAILS(ETIMEDOUT, shmwal_reader_wait(reader, 1000000));
}
END_TEST

START_TEST(batch_of_any_capacity_is_that_of_one_frame)
{
    static shmwal_record records[32];
    struct store *store = disk_store();
    write_frames(store, 3);
    OK(store_close(store));
    open_reader(0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(shmwal_reader_next_batch(reader, records, SIZE_MAX), 10);
    ck_assert_int_eq(shmwal_reader_next_batch(reader, records, SIZE_MAX), 0);
}
END_TEST

START_TEST(wrong_use_is_an_error)
{
    shmwal_record record;
    open_reader(0);
    FAILS(EINVAL, shmwal_reader_open(NULL, 0, &reader));
    FAILS(EINVAL, shmwal_reader_open(support_log, 0, NULL));
    FAILS(EINVAL, shmwal_reader_next(NULL, &record));
    FAILS(EINVAL, shmwal_reader_next(reader, NULL));
    FAILS(EINVAL, shmwal_reader_next_batch(reader, &record, 0));
    FAILS(EINVAL, shmwal_reader_wait(NULL, 0));
    ck_assert_int_eq(shmwal_reader_damage(NULL, NULL), 0);
    OK(shmwal_reader_close(NULL));
}
END_TEST

static void teardown(void)
{
    shmwal_reader_close(reader);
    disk_teardown();
}

int main(void)
{
    Suite *suite = suite_create("reader");
    TCase *tests = tcase_create("reader");
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, teardown);
    tcase_set_timeout(tests, 120);
    const TTest *const all[] = {reader_yields_everything_over_many_segments,
                                reader_begins_behind_the_lsn_it_is_given,
                                reader_that_begins_within_a_record_begins_with_the_next,
                                reader_from_beyond_the_end_is_refused,
                                batch_holds_valid_records_together,
                                fillers_are_passed_over,
                                reader_sees_what_comes_later,
                                torn_tail_is_told_and_forgotten_once_it_is_cut,
                                frame_that_looked_torn_in_the_making_is_read_once_it_is_whole,
                                segment_that_goes_while_the_log_is_read_is_damage,
                                missing_or_spoiled_segment_is_damage_wherever_a_reader_begins,
                                segment_that_comes_just_before_its_mark_is_read_is_followed,
                                reader_takes_a_copy_and_a_symbolic_link,
                                durable_lsn_is_the_bound,
                                what_is_missing_below_the_bound_is_damage,
                                bound_within_a_frame_is_damage,
                                last_frame_that_rots_below_the_bound_is_damage,
                                durable_frames_in_front_of_the_first_lsn_are_not_read,
                                header_that_leads_astray_is_damage_where_it_stands,
                                torn_frame_in_front_of_the_first_lsn_is_not_passed_without_a_ring,
                                ring_that_may_not_be_read_is_an_error_not_a_licence,
                                ring_that_comes_and_may_not_be_read_is_an_error,
                                ring_that_comes_unreadable_while_the_end_is_judged_is_an_error,
                                ring_that_comes_while_bytes_are_read_bounds_them,
                                bytes_read_before_the_bound_rose_are_read_again,
                                ring_that_goes_leaves_what_is_on_disk,
                                frame_that_was_cut_off_is_never_yielded,
                                segment_that_was_replaced_under_its_name_is_left,
                                older_segment_under_the_name_of_one_that_held_nothing_is_damage,
                                wait_gives_up_at_its_deadline,
                                wait_returns_at_once_where_something_is,
                                wait_tells_of_damage,
                                wait_with_a_ring_ends_when_more_is_durable,
                                wait_without_a_ring_ends_when_one_is_made,
                                wait_looks_again_where_the_lock_cannot_be_watched,
                                wait_that_cannot_watch_keeps_its_deadline,
                                batch_of_any_capacity_is_that_of_one_frame,
                                wrong_use_is_an_error};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tcase_add_test(tests, all[i]);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
