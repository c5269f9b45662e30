/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=region_view_open,--wrap=region_view_close,--wrap=region_view_durable
 * LDFLAGS: -Wl,--wrap=region_view_gone,--wrap=region_view_wait,--wrap=sys_pread_full
 *
 * Verify: what it counts, and that it finds what a reader need not look at. (That it finds damage
 * where recovery and the reader do is tested with the cases of recovery.) */
#include "disk.h"
#include "fake_ring.h"

static shmwal_verification verify(void)
{
    shmwal_verification result = {.size = sizeof result};
    OK(shmwal_verify(support_log, &result, NULL, NULL));
    return result;
}

static void write_frames(struct store *store, unsigned frames)
{
    for (unsigned i = 0; i < frames; i++)
        OK(disk_write(store, 10));
}

START_TEST(new_log_is_intact_and_empty)
{
    shmwal_verification result = verify();
    ck_assert(!result.torn && !result.damaged);
    ck_assert_uint_eq(result.records, 0);
    ck_assert_uint_eq(result.last_lsn, 0);
}
END_TEST

START_TEST(records_are_counted_and_fillers_are_not)
{
    struct store *store = disk_store();
    struct frame_header *frame = (struct frame_header *)disk_frame;
    write_frames(store, 120);
    record_write_filler(frame + 1, 192, 1, disk_lsn);
    OK(store_write(store, frame, disk_lsn, 192, 1));
    disk_lsn += 192;
    OK(store_close(store));
    ck_assert_uint_gt(disk_segments(), 2);
    shmwal_verification result = verify();
    ck_assert(!result.torn && !result.damaged);
    ck_assert_uint_eq(result.records, disk_records);
    ck_assert_uint_eq(result.first_lsn, 0);
    ck_assert_uint_eq(result.last_lsn, disk_lsn);
}
END_TEST

struct seen {
    uint64_t done, total;
    unsigned calls;
};

static void see(void *context, uint64_t done, uint64_t total)
{
    struct seen *seen = context;
    ck_assert_uint_ge(done, seen->done);
    ck_assert_uint_le(done, total);
    seen->done = done;
    seen->total = total;
    seen->calls++;
}

START_TEST(progress_rises_to_its_total)
{
    struct store *store = disk_store();
    struct seen seen = {0};
    shmwal_verification result = {.size = sizeof result};
    write_frames(store, 120);
    OK(store_close(store));
    OK(shmwal_verify(support_log, &result, see, &seen));
    ck_assert_uint_ge(seen.calls, disk_segments());
    ck_assert_uint_eq(seen.done, seen.total);
}
END_TEST

/* A frame whose checksum holds, with a record in it whose own does not: the reader takes the
 * frame's word, verify does not. */
START_TEST(record_that_was_written_wrong_is_damage)
{
    struct store *store = disk_store();
    write_frames(store, 1);
    uint64_t before = disk_lsn, bytes = disk_gather(10);
    disk_frame[sizeof(struct frame_header) + sizeof(struct record_header) + 65] ^= 1;
    OK(store_write(store, (struct frame_header *)disk_frame, disk_lsn, bytes, 10));
    OK(store_close(store));
    shmwal_verification result = verify();
    ck_assert(result.damaged && !result.torn);
    ck_assert_uint_eq(result.records, 10);
    ck_assert_uint_eq(result.last_lsn, before);
    ck_assert_uint_eq(result.damage.lsn, before);
    ck_assert_uint_eq(result.damage.offset, 3 * FORMAT_BLOCK);
    ck_assert_str_eq(result.damage.segment, "0000000000000000.seg");
}
END_TEST

START_TEST(tail_beyond_the_rings_durable_lsn_is_not_torn)
{
    struct store *store = disk_store();
    write_frames(store, 2);
    disk_flip(disk_path(0), 3 * FORMAT_BLOCK + 80, 1);
    fake_ring_make(disk_ends[9]);
    shmwal_verification result = verify();
    ck_assert(!result.torn && !result.damaged);
    ck_assert_uint_eq(result.records, 10);
    ck_assert_uint_eq(result.last_lsn, disk_ends[9]);
    fake_ring_remove();
    result = verify();
    ck_assert(result.torn && !result.damaged);
    ck_assert_uint_eq(result.records, 10);
    ck_assert_uint_eq(result.damage.lsn, disk_ends[9]);
    OK(store_close(store));
}
END_TEST

static struct store *busy_store;

static void more_comes(void)
{
    write_frames(busy_store, 1);
    fake_ring_raise(disk_lsn);
    after_read = more_comes;
}

/* Else a log that is written faster than it is read would be verified for ever. */
START_TEST(log_in_use_is_verified_up_to_where_it_was_at_the_beginning)
{
    busy_store = disk_store();
    write_frames(busy_store, 2);
    fake_ring_make(disk_lsn);
    after_read = more_comes;
    shmwal_verification result = verify();
    after_read = NULL;
    ck_assert(!result.torn && !result.damaged);
    ck_assert_uint_eq(result.records, 20);
    ck_assert_uint_gt(disk_records, 20);
    OK(store_close(busy_store));
}
END_TEST

START_TEST(lost_meta_is_damage_too)
{
    char meta[160];
    snprintf(meta, sizeof meta, "%s/meta", support_log);
    ck_assert_int_eq(unlink(meta), 0);
    shmwal_verification result = verify();
    ck_assert(result.damaged);
    ck_assert_ptr_nonnull(strstr(result.damage.reason, "meta"));
}
END_TEST

START_TEST(what_cannot_be_verified_is_an_error)
{
    shmwal_verification result = {.size = sizeof result, .records = 77};
    FAILS(ENOENT, shmwal_verify("/nowhere/at/all", &result, NULL, NULL));
    FAILS(EINVAL, shmwal_verify(NULL, &result, NULL, NULL));
    FAILS(EINVAL, shmwal_verify(support_log, NULL, NULL, NULL));
    ck_assert_uint_eq(result.records, 77);
    result.size = 1;
    FAILS(EINVAL, shmwal_verify(support_log, &result, NULL, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verify");
    TCase *tests = tcase_create("verify");
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, disk_teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, new_log_is_intact_and_empty);
    tcase_add_test(tests, records_are_counted_and_fillers_are_not);
    tcase_add_test(tests, progress_rises_to_its_total);
    tcase_add_test(tests, record_that_was_written_wrong_is_damage);
    tcase_add_test(tests, tail_beyond_the_rings_durable_lsn_is_not_torn);
    tcase_add_test(tests, log_in_use_is_verified_up_to_where_it_was_at_the_beginning);
    tcase_add_test(tests, lost_meta_is_damage_too);
    tcase_add_test(tests, what_cannot_be_verified_is_an_error);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
