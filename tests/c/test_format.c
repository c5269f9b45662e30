/* SPDX-License-Identifier: MIT
 *
 * The bytes: what is valid, and that nothing else is. */
#include "format/format.h"

#include "disk.h"
#include "format/checksum.h"

enum { SALT = 0x5A17 };

static struct frame_header *make_frame(unsigned records)
{
    disk_lsn = 128;
    uint64_t bytes = disk_gather(records);
    struct frame_header *frame = (struct frame_header *)disk_frame;
    frame_seal_header(frame, FRAME_DATA, disk_lsn, 64, 1, bytes, records, SALT);
    return frame;
}

START_TEST(record_is_valid_at_its_lsn_only)
{
    alignas(16) char bytes[512];
    uint64_t span = disk_put(bytes, 3, 640);
    ck_assert_ptr_eq(record_validate(bytes, span, 640), bytes);
    ck_assert_ptr_null(record_validate(bytes, span, 704));
    ck_assert_ptr_null(record_validate(bytes, span, 640 + (UINT64_C(1) << 32)));
}
END_TEST

START_TEST(record_is_invalid_in_less_room)
{
    alignas(16) char bytes[512];
    uint64_t span = disk_put(bytes, 3, 640);
    for (uint64_t room = 0; room < span; room++)
        ck_assert_ptr_null(record_validate(bytes, room, 640));
}
END_TEST

START_TEST(record_with_any_bit_flipped_is_invalid)
{
    alignas(16) char bytes[512] = {0};
    disk_put(bytes, 3, 640);
    size_t used = sizeof(struct record_header) + disk_length(3);
    for (size_t bit = 0; bit < 8 * used; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        ck_assert_msg(record_validate(bytes, sizeof bytes, 640) == NULL, "bit %zu", bit);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
}
END_TEST

START_TEST(record_of_type_and_lsn_that_add_up_alike_differs)
{
    alignas(16) char bytes[512];
    disk_put(bytes, 3, 640);
    struct record_header *header = (struct record_header *)bytes;
    header->type += 64; /* as if it stood 64 bytes earlier */
    ck_assert_ptr_null(record_validate(bytes, sizeof bytes, 640));
}
END_TEST

START_TEST(record_checksum_is_what_the_format_says)
{
    struct record_header header = {.length = 5, .producer = 9, .type = 2};
    uint64_t sum = XXH3_64bits("hello", 5);
    sum ^= (UINT64_C(4096) + 2) * UINT64_C(0x9E3779B97F4A7C15);
    sum ^= ((UINT64_C(5) << 32) + 9) * UINT64_C(0xC2B2AE3D27D4EB4F);
    sum = (sum ^ (sum >> 32)) * UINT64_C(0x165667B19E3779F9);
    ck_assert_uint_eq(record_checksum(&header, "hello", 4096), sum >> 32);
}
END_TEST

/* Around the length from which another function takes the sum, and its blocks of 1024. */
START_TEST(checksum_is_the_same_by_every_way_to_take_it)
{
    static char bytes[10000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * i >> 3);
    for (size_t length = 0; length <= 9500; length++) {
        const char *data = bytes + length % 64;
        uint64_t sum = XXH3_64bits(data, length);
        ck_assert_uint_eq(checksum64(data, length), sum);
        ck_assert_uint_eq(checksum64_long(data, length), sum);
    }
}
END_TEST

START_TEST(filler_fills_its_span_and_is_valid)
{
    alignas(16) char bytes[512];
    for (uint64_t span = 64; span <= sizeof bytes; span += 64) {
        memset(bytes, 0xFF, sizeof bytes);
        record_write_filler(bytes, span, 1, 0);
        const struct record_header *filler = record_validate(bytes, span, 0);
        ck_assert_ptr_nonnull(filler);
        ck_assert_uint_eq(filler->type, RECORD_FILLER);
        ck_assert_uint_eq(record_span(filler->length), span);
    }
}
END_TEST

START_TEST(frame_is_valid_with_its_salt_and_room)
{
    struct frame_header *frame = make_frame(5);
    uint64_t needed = sizeof *frame + frame->payload_bytes;
    ck_assert(frame_valid(frame, needed, SALT));
    ck_assert(frame_records_fit(frame));
    ck_assert(!frame_valid(frame, needed, SALT + 1));
    ck_assert(!frame_valid(frame, needed - 1, SALT));
    ck_assert(!frame_valid(frame, 0, SALT));
}
END_TEST

START_TEST(frame_with_any_bit_flipped_is_invalid)
{
    struct frame_header *frame = make_frame(5);
    size_t used = sizeof *frame + frame->payload_bytes;
    for (size_t bit = 0; bit < 8 * used; bit++) {
        disk_frame[bit / 8] ^= (char)(1 << bit % 8);
        ck_assert_msg(!frame_valid(frame, used, SALT), "bit %zu", bit);
        disk_frame[bit / 8] ^= (char)(1 << bit % 8);
    }
}
END_TEST

START_TEST(frame_whose_records_do_not_fill_it_is_not_accepted)
{
    struct frame_header *frame = make_frame(5);
    uint64_t bytes = frame->payload_bytes;
    frame_seal_header(frame, FRAME_DATA, 128, 64, 1, bytes, 4, SALT);
    ck_assert(!frame_records_fit(frame));
    frame_seal_header(frame, FRAME_DATA, 128, 64, 1, bytes - 64, 5, SALT);
    ck_assert(!frame_records_fit(frame));
    struct record_header *first = (struct record_header *)(frame + 1);
    first->length = UINT32_MAX;
    frame_seal_header(frame, FRAME_DATA, 128, 64, 1, bytes, 5, SALT);
    ck_assert(!frame_records_fit(frame));
}
END_TEST

START_TEST(frame_of_a_kind_with_the_wrong_contents_is_invalid)
{
    struct frame_header *frame = make_frame(5);
    static const struct {
        uint32_t kind, records;
        uint64_t bytes;
    } wrong[] = {{FRAME_DATA, 0, 64}, {FRAME_DATA, 1, 0}, {FRAME_SEAL, 1, 64}, {FRAME_ROLL, 1, 0},
                 {0, 1, 64},          {4, 0, 0},          {FRAME_DATA, 1, 65}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        frame_seal_header(frame, wrong[i].kind, 128, 64, 1, wrong[i].bytes, wrong[i].records, SALT);
        ck_assert_msg(!frame_valid(frame, 8192, SALT), "case %zu", i);
    }
    frame_seal_header(frame, FRAME_SEAL, 128, 128, 1, 0, 0, SALT);
    ck_assert(frame_valid(frame, 64, SALT));
}
END_TEST

START_TEST(frame_whose_lsn_would_overflow_is_invalid)
{
    struct frame_header *frame = make_frame(5);
    uint64_t bytes = frame->payload_bytes;
    frame_seal_header(frame, FRAME_DATA, UINT64_MAX - 63, 64, 1, bytes, 5, SALT);
    ck_assert(!frame_valid(frame, 8192, SALT));
}
END_TEST

START_TEST(headers_with_any_byte_changed_are_not_valid)
{
    struct meta meta = {.ring_bytes = 65536, .segment_bytes = 65536};
    struct segment_header header = {.file_bytes = 65536};
    meta_seal(&meta);
    segment_header_seal(&header);
    ck_assert_int_eq(meta_check(&meta), BLOCK_VALID);
    ck_assert_int_eq(segment_header_check(&header), BLOCK_VALID);
    for (size_t i = 0; i < FORMAT_BLOCK; i++) {
        ((char *)&meta)[i] ^= 0x10;
        ((char *)&header)[i] ^= 0x10;
        ck_assert_msg(meta_check(&meta) != BLOCK_VALID, "byte %zu", i);
        ck_assert_msg(segment_header_check(&header) != BLOCK_VALID, "byte %zu", i);
        ((char *)&meta)[i] ^= 0x10;
        ((char *)&header)[i] ^= 0x10;
    }
}
END_TEST

START_TEST(meta_with_sizes_of_no_log_is_damaged)
{
    const uint64_t sizes[][2] = {{0, 65536},     {65535, 65536}, {3 << 16, 65536},
                                 {65536, 61440}, {65536, 65537}, {65536, 0}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct meta meta = {.ring_bytes = sizes[i][0], .segment_bytes = sizes[i][1]};
        meta_seal(&meta);
        ck_assert_msg(meta_check(&meta) == BLOCK_DAMAGED, "sizes %zu", i);
    }
    /* So many spares are not kept, but they harm nobody. */
    struct meta meta = {.ring_bytes = 65536, .segment_bytes = 65536, .spare_bytes = UINT64_MAX};
    meta_seal(&meta);
    ck_assert_int_eq(meta_check(&meta), BLOCK_VALID);
}
END_TEST

START_TEST(segment_header_with_places_that_cannot_be_is_damaged)
{
    const struct segment_header places[] = {
        {.first_lsn = 1, .file_bytes = SEGMENT_BYTES_MIN},
        {.first_lsn = 64, .file_bytes = SEGMENT_BYTES_MIN + 1},
        {.first_lsn = 64, .file_bytes = SEGMENT_BYTES_MIN - FORMAT_BLOCK},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        struct segment_header header = places[i];
        segment_header_seal(&header);
        ck_assert_int_eq(segment_header_check(&header), BLOCK_DAMAGED);
    }
}
END_TEST

START_TEST(headers_of_a_later_version_are_incompatible_not_damaged)
{
    struct meta meta = {.ring_bytes = 65536, .segment_bytes = 65536};
    meta_seal(&meta);
    meta.version = FORMAT_VERSION + 1;
    ck_assert_int_eq(meta_check(&meta), BLOCK_INCOMPATIBLE);
    meta.incompatible = 1;
    meta_seal(&meta);
    ck_assert_int_eq(meta_check(&meta), BLOCK_INCOMPATIBLE);
    meta.incompatible = 0;
    meta.compatible = 1;
    meta_seal(&meta);
    ck_assert_int_eq(meta_check(&meta), BLOCK_VALID);
    memcpy(meta.magic, "somefile", 8);
    ck_assert_int_eq(meta_check(&meta), BLOCK_FOREIGN);
}
END_TEST

START_TEST(longest_record_fits_half_a_ring_and_a_segment)
{
    static const uint64_t sizes[] = {65536, 1 << 20, 64 << 20, UINT64_C(64) << 30};
    for (size_t r = 0; r < 4; r++)
        for (size_t s = 0; s < 4; s++) {
            uint64_t length = record_length_max(sizes[r], sizes[s]);
            ck_assert_uint_le(record_span(length), RECORD_SPAN_MAX);
            ck_assert_uint_le(record_span(length), sizes[r] / 2);
            ck_assert_uint_le(3 * FORMAT_BLOCK + frame_file_bytes(record_span(length)), sizes[s]);
        }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format");
    TCase *tests = tcase_create("format");
    tcase_add_test(tests, record_is_valid_at_its_lsn_only);
    tcase_add_test(tests, record_is_invalid_in_less_room);
    tcase_add_test(tests, record_with_any_bit_flipped_is_invalid);
    tcase_add_test(tests, record_of_type_and_lsn_that_add_up_alike_differs);
    tcase_add_test(tests, record_checksum_is_what_the_format_says);
    tcase_add_test(tests, checksum_is_the_same_by_every_way_to_take_it);
    tcase_add_test(tests, filler_fills_its_span_and_is_valid);
    tcase_add_test(tests, frame_is_valid_with_its_salt_and_room);
    tcase_add_test(tests, frame_with_any_bit_flipped_is_invalid);
    tcase_add_test(tests, frame_whose_records_do_not_fill_it_is_not_accepted);
    tcase_add_test(tests, frame_of_a_kind_with_the_wrong_contents_is_invalid);
    tcase_add_test(tests, frame_whose_lsn_would_overflow_is_invalid);
    tcase_add_test(tests, headers_with_any_byte_changed_are_not_valid);
    tcase_add_test(tests, meta_with_sizes_of_no_log_is_damaged);
    tcase_add_test(tests, segment_header_with_places_that_cannot_be_is_damaged);
    tcase_add_test(tests, headers_of_a_later_version_are_incompatible_not_damaged);
    tcase_add_test(tests, longest_record_fits_half_a_ring_and_a_segment);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
