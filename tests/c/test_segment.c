/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_pwrite_full,--wrap=sys_fdatasync,--wrap=sys_fsync,--wrap=sys_allocate
 * LDFLAGS: -Wl,--wrap=sys_mkdirat,--wrap=sys_renameat
 *
 * One segment file: made whole or not at all, and read back frame by frame. */
#include "segment/segment.h"

#include "disk.h"
#include "faults.h"

enum { BIG_BYTES = 8 << 20 };

static struct segment_header describe(uint64_t file_bytes)
{
    struct segment_header wanted = {.number = 5, .first_lsn = 640, .file_bytes = file_bytes};
    memcpy(wanted.uuid, disk.meta.uuid, sizeof wanted.uuid);
    return wanted;
}

static int create(uint64_t file_bytes, struct segment *segment)
{
    struct segment_header wanted = describe(file_bytes);
    return segment_create(disk.segments_fd, "x.tmp", false, &wanted, SYNC_FDATASYNC, segment);
}

static bool exists(const char *name)
{
    return faccessat(disk.segments_fd, name, F_OK, 0) == 0;
}

/* Writes a frame of one filler. */
static void write_filler(const struct segment *segment, struct frame_header *frame,
                         uint64_t *offset, uint64_t *lsn, uint64_t payload)
{
    record_write_filler(frame + 1, payload, 1, *lsn);
    frame_seal_header(frame, FRAME_DATA, *lsn, *lsn, 1, payload, 1, segment->header.salt);
    OK(segment_write(segment, frame, frame_file_bytes(payload), *offset));
    *offset += frame_file_bytes(payload);
    *lsn += payload;
}

START_TEST(name_is_the_first_lsn_and_nothing_else_is_a_name)
{
    static const char *const wrong[] = {"",
                                        "0.seg",
                                        "0000000000000000.SEG",
                                        "000000000000000A.seg",
                                        "0x00000000000000.seg",
                                        " 000000000000001.seg",
                                        "0000000000000000.segx",
                                        "00000000000000000.seg",
                                        "-000000000000001.seg",
                                        "notahexadecimal!.seg"};
    static const uint64_t right[] = {0, 64, 0xABCDEF, UINT64_MAX - 63};
    char name[SEGMENT_NAME_BYTES];
    uint64_t lsn;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        segment_name(right[i], name);
        ck_assert(segment_name_parse(name, &lsn));
        ck_assert_uint_eq(lsn, right[i]);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!segment_name_parse(wrong[i], &lsn), "%s", wrong[i]);
}
END_TEST

START_TEST(created_segment_opens_under_its_name)
{
    struct segment made, opened;
    OK(create(DISK_SEGMENT_BYTES, &made));
    FAILS(ENOENT, segment_open(disk.segments_fd, 640, disk.meta.uuid, SEGMENT_READ, SYNC_FDATASYNC,
                               &opened));
    ck_assert_int_eq(renameat(disk.segments_fd, "x.tmp", disk.segments_fd, made.name), 0);
    OK(segment_open(disk.segments_fd, 640, disk.meta.uuid, SEGMENT_READ_DIRECT, SYNC_FDATASYNC,
                    &opened));
    ck_assert_int_eq(memcmp(&opened.header, &made.header, sizeof made.header), 0);
    segment_close(&opened);
    segment_close(&made);
}
END_TEST

START_TEST(creation_that_fails_leaves_nothing)
{
    struct segment made;
    bool failed = true;
    for (int call = 0; failed; call++) {
        faults_arm(call, 1, EIO, false);
        int error = create(DISK_SEGMENT_BYTES, &made);
        failed = faults.struck > 0;
        faults_disarm();
        if (!failed)
            segment_close(&made);
        else
            ck_assert_int_eq(error, -EIO);
        ck_assert_int_eq(exists("x.tmp"), !failed);
    }
}
END_TEST

START_TEST(creation_replaces_a_leftover_of_the_same_name)
{
    struct segment made;
    OK(create(DISK_SEGMENT_BYTES, &made));
    segment_close(&made);
    OK(create(2 * DISK_SEGMENT_BYTES, &made));
    ck_assert_uint_eq(made.header.file_bytes, 2 * DISK_SEGMENT_BYTES);
    segment_close(&made);
}
END_TEST

START_TEST(scan_reads_frames_larger_and_smaller_than_its_window)
{
    static const uint64_t payloads[] = {64,      4032,    4096, 3 << 20, 64,
                                        1 << 20, 1 << 17, 64,   2 << 20, 64};
    void *memory = aligned_alloc(FORMAT_BLOCK, 4 << 20);
    memset(memory, 0, 4 << 20);
    memset(memory, 0, 4 << 20);
    struct frame_header *frame = memory;
    struct segment segment;
    struct scan scan = {0};
    uint64_t offset = FORMAT_BLOCK, lsn = 640;
    OK(create(BIG_BYTES, &segment));
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++)
        write_filler(&segment, frame, &offset, &lsn, payloads[i]);
    scan_start(&scan, &segment);
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        const struct frame_header *found;
        ck_assert_int_eq(scan_next(&scan, &found), 1);
        ck_assert_uint_eq(found->payload_bytes, payloads[i]);
    }
    ck_assert_uint_eq(scan.offset, offset);
    ck_assert_uint_eq(scan.lsn, lsn);
    struct scan_tail tail;
    OK(scan_look_past(&scan, &tail));
    ck_assert(tail.zero);
    scan_close(&scan);
    segment_close(&segment);
    free(memory);
}
END_TEST

/* Frames of 1 MiB, which a scan that reads them needs the memory for. */
START_TEST(scan_skips_frames_without_reading_what_they_hold)
{
    enum { PAYLOAD = 1 << 20, FRAMES = 7 };
    struct frame_header *frame = aligned_alloc(FORMAT_BLOCK, 2 * PAYLOAD);
    memset(frame, 0, 2 * PAYLOAD);
    struct segment segment;
    struct scan scan = {0};
    const struct frame_header *found;
    uint64_t offset = FORMAT_BLOCK, lsn = 640;
    OK(create(BIG_BYTES, &segment));
    for (unsigned i = 0; i < FRAMES; i++)
        write_filler(&segment, frame, &offset, &lsn, PAYLOAD);
    scan_start(&scan, &segment);
    for (uint64_t i = 0; i < FRAMES; i++) {
        scan_rewind(&scan, FORMAT_BLOCK, 640);
        OK(scan_skip(&scan, 640 + i * PAYLOAD + 64));
        ck_assert_uint_eq(scan.lsn, 640 + i * PAYLOAD);
        OK(scan_skip(&scan, 640 + (i + 1) * PAYLOAD)); /* the frame that ends there is read */
        ck_assert_uint_eq(scan.lsn, 640 + i * PAYLOAD);
        ck_assert_uint_lt(scan.capacity, PAYLOAD / 4);
    }
    ck_assert_int_eq(scan_next(&scan, &found), 1);
    ck_assert_uint_eq(scan.lsn, lsn);
    scan_close(&scan);
    segment_close(&segment);
    free(frame);
}
END_TEST

/* The last frame in front of what is no frame is read after all: its header may have lied. */
START_TEST(scan_skips_up_to_a_mark_and_not_into_nothing)
{
    struct segment segment;
    struct scan scan = {0};
    uint64_t offset = FORMAT_BLOCK, lsn = 640;
    OK(create(DISK_SEGMENT_BYTES, &segment));
    for (int i = 0; i < 3; i++)
        write_filler(&segment, (struct frame_header *)disk_frame, &offset, &lsn, 64);
    scan_start(&scan, &segment);
    OK(scan_skip(&scan, lsn + 640));
    ck_assert_uint_eq(scan.offset, offset - FORMAT_BLOCK);
    ck_assert_uint_eq(scan.lsn, lsn - 64);
    OK(segment_write_mark(&segment, FRAME_ROLL, offset, lsn));
    OK(segment_write_mark(&segment, FRAME_SEAL, offset + FORMAT_BLOCK, lsn));
    scan_rewind(&scan, FORMAT_BLOCK, 640);
    OK(scan_skip(&scan, lsn + 640));
    ck_assert_uint_eq(scan.offset, offset);
    ck_assert_uint_eq(scan.lsn, lsn);
    scan_close(&scan);
    segment_close(&segment);
}
END_TEST

START_TEST(scan_reads_a_segment_that_is_full_to_its_last_byte)
{
    struct segment segment;
    struct scan scan = {0};
    const struct frame_header *found;
    uint64_t offset = FORMAT_BLOCK, lsn = 640;
    OK(create(DISK_SEGMENT_BYTES, &segment));
    write_filler(&segment, (struct frame_header *)disk_frame, &offset, &lsn,
                 DISK_SEGMENT_BYTES - FORMAT_BLOCK - 64);
    ck_assert_uint_eq(offset, DISK_SEGMENT_BYTES);
    scan_start(&scan, &segment);
    ck_assert_int_eq(scan_next(&scan, &found), 1);
    ck_assert_int_eq(scan_next(&scan, &found), 0);
    ck_assert_int_eq(scan_at_zeros(&scan), 1);
    OK(scan_skip(&scan, lsn + 64));
    ck_assert_uint_eq(scan.offset, DISK_SEGMENT_BYTES);
    scan_close(&scan);
    segment_close(&segment);
}
END_TEST

START_TEST(scan_takes_no_memory_for_a_frame_that_cannot_fit)
{
    struct segment segment;
    struct scan scan = {0};
    const struct frame_header *found;
    struct frame_header *frame = (struct frame_header *)disk_frame;
    OK(create(DISK_SEGMENT_BYTES, &segment));
    memset(disk_frame, 0, FORMAT_BLOCK);
    frame_seal_header(frame, FRAME_DATA, 640, 640, 1, 64, 1, segment.header.salt);
    frame->payload_bytes = UINT64_C(1) << 40;
    OK(segment_write(&segment, frame, FORMAT_BLOCK, FORMAT_BLOCK));
    scan_start(&scan, &segment);
    ck_assert_int_eq(scan_next(&scan, &found), 0);
    ck_assert_uint_le(scan.capacity, 1 << 20);
    scan_close(&scan);
    segment_close(&segment);
}
END_TEST

START_TEST(scan_does_not_accept_records_that_do_not_fill_their_frame)
{
    struct segment segment;
    struct scan scan = {0};
    const struct frame_header *found;
    struct frame_header *frame = (struct frame_header *)disk_frame;
    OK(create(DISK_SEGMENT_BYTES, &segment));
    memset(disk_frame, 0, FORMAT_BLOCK);
    record_write_filler(frame + 1, 128, 1, 640);
    frame_seal_header(frame, FRAME_DATA, 640, 640, 1, 192, 1, segment.header.salt);
    ck_assert(frame_valid(frame, FORMAT_BLOCK, segment.header.salt));
    OK(segment_write(&segment, frame, FORMAT_BLOCK, FORMAT_BLOCK));
    scan_start(&scan, &segment);
    ck_assert_int_eq(scan_next(&scan, &found), 0);
    ck_assert_uint_eq(scan.lsn, 640);
    ck_assert_int_eq(scan_search(&scan, UINT64_MAX), 0);
    scan_close(&scan);
    segment_close(&segment);
}
END_TEST

START_TEST(scan_says_that_a_file_became_shorter)
{
    struct segment segment;
    struct scan scan = {0};
    const struct frame_header *found;
    OK(create(DISK_SEGMENT_BYTES, &segment));
    ck_assert_int_eq(ftruncate(segment.fd, FORMAT_BLOCK), 0);
    scan_start(&scan, &segment);
    FAILS(EBADMSG, scan_next(&scan, &found));
    scan_close(&scan);
    segment_close(&segment);
}
END_TEST

START_TEST(released_tail_reads_as_zeros_and_keeps_the_size)
{
    struct segment segment;
    struct stat status;
    char bytes[FORMAT_BLOCK];
    uint64_t offset = FORMAT_BLOCK, lsn = 640;
    OK(create(DISK_SEGMENT_BYTES, &segment));
    write_filler(&segment, (struct frame_header *)disk_frame, &offset, &lsn, 64);
    segment_release_tail(&segment, FORMAT_BLOCK);
    ck_assert_int_eq(pread(segment.fd, bytes, sizeof bytes, FORMAT_BLOCK), sizeof bytes);
    ck_assert_int_eq(fstat(segment.fd, &status), 0);
    ck_assert_int_eq(status.st_size, DISK_SEGMENT_BYTES);
    segment_close(&segment);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("segment");
    TCase *tests = tcase_create("segment");
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, disk_teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, name_is_the_first_lsn_and_nothing_else_is_a_name);
    tcase_add_test(tests, created_segment_opens_under_its_name);
    tcase_add_test(tests, creation_that_fails_leaves_nothing);
    tcase_add_test(tests, creation_replaces_a_leftover_of_the_same_name);
    tcase_add_test(tests, scan_reads_frames_larger_and_smaller_than_its_window);
    tcase_add_test(tests, scan_skips_frames_without_reading_what_they_hold);
    tcase_add_test(tests, scan_skips_up_to_a_mark_and_not_into_nothing);
    tcase_add_test(tests, scan_reads_a_segment_that_is_full_to_its_last_byte);
    tcase_add_test(tests, scan_takes_no_memory_for_a_frame_that_cannot_fit);
    tcase_add_test(tests, scan_does_not_accept_records_that_do_not_fill_their_frame);
    tcase_add_test(tests, scan_says_that_a_file_became_shorter);
    tcase_add_test(tests, released_tail_reads_as_zeros_and_keeps_the_size);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
