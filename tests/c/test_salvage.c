/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=spare_want
 *
 * Reading on behind damage: everything that is whole comes, in order and once, and what does not
 * come lies in a hole that is told of. */
#include "disk.h"
#include "store/spare.h"

void __wrap_spare_want(struct spare *spare);
void __wrap_spare_want(struct spare *spare)
{
    (void)spare;
}

/* ---- A log, and what is salvaged from it ---- */

static uint64_t frame_offsets[64]; /* of the first segment's data frames */

static void write_segments(unsigned segments)
{
    struct store *store = disk_store();
    for (unsigned i = 0; disk_segments() < segments; i++) {
        ck_assert_uint_lt(i, 64);
        OK(disk_write(store, 30));
    }
    OK(disk_write(store, 5));
    OK(store_close(store));
    struct segment segment;
    struct scan scan = {0};
    const struct frame_header *frame;
    OK(segment_open(disk.segments_fd, 0, disk.meta.uuid, SEGMENT_READ, SYNC_FDATASYNC, &segment));
    scan_start(&scan, &segment);
    for (unsigned i = 0; scan_next(&scan, &frame) == 1;)
        if (frame->kind == FRAME_DATA)
            frame_offsets[i++] = scan.offset - frame_file_bytes(frame->payload_bytes);
    scan_close(&scan);
    segment_close(&segment);
}

static struct {
    unsigned holes, records;
    shmwal_hole first; /* its strings are copied */
    char segment[32];
    uint64_t missing_bytes; /* within the log as it was written */
    bool to_the_end;
} salvaged;

static void note_hole(const shmwal_hole *hole)
{
    if (salvaged.holes++ == 0) {
        salvaged.first = *hole;
        snprintf(salvaged.segment, sizeof salvaged.segment, "%s", hole->begin.segment);
    }
    salvaged.to_the_end = hole->end_lsn == UINT64_MAX;
    salvaged.missing_bytes += (salvaged.to_the_end ? disk_lsn : hole->end_lsn) - hole->begin.lsn;
}

/* Reads all; each record must be the one that was written there, and each that does not come must
 * lie in a hole. */
static void salvage(void)
{
    shmwal_reader *reader;
    shmwal_record record;
    shmwal_hole hole;
    uint64_t lsn = 0; /* up to here all has come or was told of */
    int got;
    memset(&salvaged, 0, sizeof salvaged);
    OK(shmwal_reader_open(support_log, 0, &reader));
    for (;;) {
        while ((got = shmwal_reader_next(reader, &record)) == 1) {
            unsigned number = disk_first_after(lsn);
            disk_check_record(&record, number);
            lsn = record.lsn;
            salvaged.records++;
        }
        if (got == 0)
            break;
        ck_assert_int_eq(got, -EBADMSG);
        got = shmwal_reader_salvage(reader, &hole);
        ck_assert_int_ge(got, 0);
        ck_assert_uint_eq(hole.begin.lsn, lsn);
        ck_assert_uint_ge(hole.end_lsn, lsn); /* equal: only a header was spoiled */
        ck_assert_uint_gt(strlen(hole.begin.reason), 10);
        note_hole(&hole);
        lsn = hole.end_lsn;
        if (got == 0)
            break;
    }
    OK(shmwal_reader_close(reader));
    ck_assert_uint_ge(lsn, disk_lsn);
}

/* One hole, which begins in the segment of that name, and this much is missing. */
static void expect_hole(const char *path, uint64_t lsn, uint64_t end_lsn)
{
    salvage();
    ck_assert_uint_eq(salvaged.holes, 1);
    ck_assert_str_eq(salvaged.segment, strrchr(path, '/') + 1);
    ck_assert_uint_eq(salvaged.first.begin.lsn, lsn);
    ck_assert_uint_eq(salvaged.first.end_lsn, end_lsn);
}

/* Where the first segment's frame `number` begins. */
static uint64_t frame_lsn(unsigned number)
{
    return number == 0 ? 0 : disk_ends[30 * number - 1];
}

/* ---- What may be wrong ---- */

START_TEST(whole_log_has_no_hole)
{
    write_segments(3);
    salvage();
    ck_assert_uint_eq(salvaged.holes, 0);
    ck_assert_uint_eq(salvaged.records, disk_records);
}
END_TEST

START_TEST(rotten_frame_is_a_hole_and_the_next_one_comes)
{
    write_segments(3);
    disk_flip(disk_path(0), frame_offsets[1] + 100, 4);
    expect_hole(disk_path(0), frame_lsn(1), frame_lsn(2));
    ck_assert_uint_eq(salvaged.first.begin.offset, frame_offsets[1]);
    ck_assert_uint_eq(salvaged.first.end_offset, frame_offsets[2]);
}
END_TEST

START_TEST(several_holes_are_told_of_one_by_one)
{
    write_segments(3);
    disk_flip(disk_path(0), frame_offsets[0] + 16, 1);
    disk_flip(disk_path(0), frame_offsets[2] + 64, 1);
    disk_flip(disk_path(disk_segment_lsn(1)), FORMAT_BLOCK + 200, 1);
    salvage();
    ck_assert_uint_eq(salvaged.holes, 3);
    ck_assert_uint_eq(salvaged.records, disk_records - 90);
}
END_TEST

START_TEST(rotten_end_of_a_segment_is_a_hole_up_to_the_next)
{
    write_segments(3);
    uint64_t second = disk_segment_lsn(1);
    disk_zero(disk_path(0), frame_offsets[1], DISK_SEGMENT_BYTES - frame_offsets[1]);
    expect_hole(disk_path(0), frame_lsn(1), second);
}
END_TEST

START_TEST(missing_segments_are_holes)
{
    write_segments(4);
    uint64_t second = disk_segment_lsn(1), third = disk_segment_lsn(2);
    ck_assert_int_eq(unlink(disk_path(second)), 0);
    salvage();
    ck_assert_uint_eq(salvaged.holes, 1);
    ck_assert_uint_eq(salvaged.first.begin.lsn, second);
    ck_assert_uint_eq(salvaged.first.end_lsn, third);
    ck_assert_int_eq(unlink(disk_path(0)), 0); /* now nothing is left before the third */
    expect_hole(disk_path(second), 0, third);
}
END_TEST

START_TEST(missing_last_segment_is_a_hole_to_the_end)
{
    write_segments(2);
    uint64_t second = disk_segment_lsn(1);
    ck_assert_int_eq(unlink(disk_path(second)), 0);
    expect_hole(disk_path(0), second, UINT64_MAX);
    ck_assert(salvaged.to_the_end);
    ck_assert_str_eq(salvaged.first.end_segment, "");
}
END_TEST

START_TEST(spoiled_header_costs_no_record)
{
    write_segments(3);
    uint64_t second = disk_segment_lsn(1);
    disk_flip(disk_path(second), 72, 1); /* the salt itself */
    salvage();
    ck_assert_uint_eq(salvaged.records, disk_records);
    disk_zero(disk_path(0), 0, FORMAT_BLOCK);
    salvage();
    ck_assert_uint_eq(salvaged.records, disk_records);
}
END_TEST

START_TEST(spoiled_header_of_the_only_segment_costs_no_record)
{
    struct store *store = disk_store();
    OK(disk_write(store, 10));
    OK(disk_write(store, 10));
    OK(store_close(store));
    disk_flip(disk_path(0), 40, 1);
    salvage();
    ck_assert_uint_eq(salvaged.records, 20);
    ck_assert_uint_eq(salvaged.holes, 1);
}
END_TEST

START_TEST(shortened_segment_yields_what_it_has)
{
    write_segments(3);
    uint64_t second = disk_segment_lsn(1);
    ck_assert_int_eq(truncate(disk_path(0), (off_t)frame_offsets[2] + 100), 0);
    salvage();
    ck_assert_uint_eq(salvaged.records, disk_records - (disk_first_after(second) - 60));
}
END_TEST

/* Not even a frame is left that would tell the segment's salt; or no file at all that can be
 * read. */
START_TEST(segment_that_holds_nothing_any_more_is_a_hole)
{
    write_segments(3);
    uint64_t second = disk_segment_lsn(1), third = disk_segment_lsn(2);
    disk_zero(disk_path(second), 0, DISK_SEGMENT_BYTES);
    expect_hole(disk_path(second), second, third);
    ck_assert_int_eq(unlink(disk_path(second)), 0);
    ck_assert_int_eq(mkfifo(disk_path(second), 0600), 0);
    expect_hole(disk_path(second), second, third);
}
END_TEST

START_TEST(segment_in_anothers_place_yields_nothing_out_of_order)
{
    write_segments(4);
    uint64_t second = disk_segment_lsn(1), third = disk_segment_lsn(2);
    char aside[200];
    snprintf(aside, sizeof aside, "%s/aside", support_log);
    ck_assert_int_eq(rename(disk_path(second), aside), 0);
    ck_assert_int_eq(rename(disk_path(third), disk_path(second)), 0);
    ck_assert_int_eq(rename(aside, disk_path(third)), 0);
    salvage(); /* checks that what comes, comes in order */
    ck_assert_uint_gt(salvaged.holes, 0);
}
END_TEST

/* Frames that recovery cut off are valid by themselves, but were never part of the log. Their space
 * is given back; here it is as if that had not reached the disk. */
START_TEST(what_was_cut_off_is_not_salvaged)
{
    static char behind[2 * FORMAT_BLOCK];
    struct store *store = disk_store();
    OK(disk_write(store, 10));
    uint64_t cut = disk_lsn;
    OK(disk_write(store, 10));
    OK(disk_write(store, 10));
    disk_abandon(store);
    uint64_t offset = FORMAT_BLOCK + 2 * FORMAT_BLOCK; /* behind the header, a seal, one frame */
    disk_get(disk_path(0), offset, behind, sizeof behind);
    disk_lsn = cut;
    disk_records = 10;
    store = disk_store();
    OK(disk_write(store, 3));
    OK(store_close(store));
    disk_set(disk_path(0), offset, behind, sizeof behind);
    disk_flip(disk_path(0), 2 * FORMAT_BLOCK + 80, 1);
    expect_hole(disk_path(0), 0, cut);
    ck_assert_uint_eq(salvaged.records, 3);
}
END_TEST

START_TEST(torn_tail_is_an_end_and_no_hole)
{
    struct store *store = disk_store();
    OK(disk_write(store, 10));
    disk_abandon(store);
    disk_flip(disk_path(0), 2 * FORMAT_BLOCK + 80, 1);
    disk_lsn = 0; /* none of it was part of the log */
    salvage();
    ck_assert_uint_eq(salvaged.holes, 0);
}
END_TEST

START_TEST(wrong_use_is_an_error)
{
    shmwal_reader *reader;
    shmwal_hole hole;
    write_segments(2);
    OK(shmwal_reader_open(support_log, 0, &reader));
    FAILS(EINVAL, shmwal_reader_salvage(reader, &hole)); /* there is no damage */
    FAILS(EINVAL, shmwal_reader_salvage(reader, NULL));
    FAILS(EINVAL, shmwal_reader_salvage(NULL, &hole));
    OK(shmwal_reader_close(reader));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("salvage");
    TCase *tests = tcase_create("salvage");
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, disk_teardown);
    const TTest *all[] = {whole_log_has_no_hole,
                          rotten_frame_is_a_hole_and_the_next_one_comes,
                          several_holes_are_told_of_one_by_one,
                          rotten_end_of_a_segment_is_a_hole_up_to_the_next,
                          missing_segments_are_holes,
                          missing_last_segment_is_a_hole_to_the_end,
                          spoiled_header_costs_no_record,
                          spoiled_header_of_the_only_segment_costs_no_record,
                          shortened_segment_yields_what_it_has,
                          segment_that_holds_nothing_any_more_is_a_hole,
                          segment_in_anothers_place_yields_nothing_out_of_order,
                          what_was_cut_off_is_not_salvaged,
                          torn_tail_is_an_end_and_no_hole,
                          wrong_use_is_an_error};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tcase_add_test(tests, all[i]);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
