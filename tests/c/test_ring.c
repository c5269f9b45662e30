/* SPDX-License-Identifier: MIT
 *
 * The ring's algorithm, in private memory: single steps, and threads against each other (build it
 * with -fsanitize=thread too). */
#include "ring/mend.h"
#include "ring/ring.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SIZE = 4096, UNITS = SIZE / RING_UNIT };

static struct ring_tail_word tail;
static _Alignas(16) AO_double_t headers[UNITS];
static _Atomic uint64_t head;
static struct ring ring;

/* The bytes mapped twice in a row, as a region has them. */
static void setup_at(uint64_t first_lsn)
{
    int fd = memfd_create("ring", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, SIZE), 0);
    char *bytes = mmap(NULL, 2 * SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 2; i++)
        ck_assert_ptr_ne(
            mmap(bytes + i * SIZE, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0),
            MAP_FAILED);
    close(fd);
    memset(headers, 0, sizeof headers);
    ring_initialize(&tail, first_lsn);
    atomic_store(&head, first_lsn);
    ring.tail = &tail;
    ring.headers = headers;
    ring.bytes = bytes;
    ring.size = SIZE;
    ring.head = &head;
    atomic_store(&ring.head_seen, first_lsn);
}

static void setup(void)
{
    setup_at(0);
}

static void teardown(void)
{
    munmap(ring.bytes, 2 * SIZE);
}

static uint64_t reserve(uint64_t owner, uint64_t span)
{
    uint64_t lsn;
    ck_assert_int_eq(ring_reserve(&ring, owner, span, &lsn), 0);
    return lsn;
}

START_TEST(ring_reserves_extents_end_to_end)
{
    ck_assert_uint_eq(reserve(1, 64), 0);
    ck_assert_uint_eq(reserve(2, 128), 64);
    ck_assert_uint_eq(reserve(1, 64), 192);
    ck_assert_uint_eq(ring_end(&ring), 256);
}
END_TEST

START_TEST(ring_reserve_fails_when_full_and_changes_nothing)
{
    uint64_t lsn = 77;
    reserve(1, SIZE - 64);
    ck_assert_int_eq(ring_reserve(&ring, 1, 128, &lsn), -EAGAIN);
    ck_assert_uint_eq(lsn, 77);
    ck_assert_uint_eq(ring_end(&ring), SIZE - 64);
    ck_assert_uint_eq(reserve(1, 64), SIZE - 64);
    ck_assert_int_eq(ring_reserve(&ring, 1, 64, &lsn), -EAGAIN);
}
END_TEST

START_TEST(ring_gives_room_back_when_the_head_moves)
{
    uint64_t lsn;
    reserve(1, SIZE);
    ck_assert_int_eq(ring_reserve(&ring, 1, 64, &lsn), -EAGAIN);
    atomic_store(&head, 64);
    ck_assert_uint_eq(reserve(1, 64), SIZE);
    ck_assert_int_eq(ring_reserve(&ring, 1, 64, &lsn), -EAGAIN);
}
END_TEST

START_TEST(ring_reserve_completes_the_header_before_it)
{
    uint64_t first = reserve(5, 128);
    ck_assert_uint_eq(ring_read(&ring, first).extent, 0); /* only the tail names it */
    reserve(6, 64);
    struct ring_header header = ring_read(&ring, first);
    ck_assert_uint_eq(header.position, first | RING_RESERVED);
    ck_assert_uint_eq(ring_extent_owner(header.extent), 5);
    ck_assert_uint_eq(ring_extent_span(header.extent), 128);
}
END_TEST

START_TEST(ring_names_an_open_reservation_from_the_tail_or_the_header)
{
    struct ring_header open;
    uint64_t first = reserve(5, 128);
    ck_assert(ring_find_open(&ring, first, &open));
    ck_assert_uint_eq(ring_extent_owner(open.extent), 5);
    ck_assert_uint_eq(ring_extent_span(open.extent), 128);
    reserve(6, 64);
    ck_assert(ring_find_open(&ring, first, &open));
    ck_assert_uint_eq(ring_extent_owner(open.extent), 5);
    ck_assert(!ring_find_open(&ring, ring_end(&ring), &open));
    ck_assert(ring_finish(&ring, 5, first, 128, RING_COMMITTED));
    ck_assert(!ring_find_open(&ring, first, &open));
}
END_TEST

START_TEST(ring_commits_whether_or_not_somebody_helped)
{
    uint64_t first = reserve(1, 64);
    ck_assert(ring_finish(&ring, 1, first, 64, RING_COMMITTED));
    uint64_t second = reserve(2, 64);
    uint64_t third = reserve(3, 64);
    ck_assert(ring_finish(&ring, 2, second, 64, RING_COMMITTED));
    ck_assert(ring_finish(&ring, 3, third, 64, RING_DISCARDED));
    ck_assert_uint_eq(ring_finished_until(&ring, 0), 192);
    ck_assert(ring_finished_at(&ring, third));
}
END_TEST

START_TEST(ring_finishes_an_extent_once_and_only_for_its_owner)
{
    uint64_t lsn = reserve(1, 64);
    reserve(2, 64);
    ck_assert(!ring_finish(&ring, 2, lsn, 64, RING_COMMITTED));
    ck_assert(!ring_finish(&ring, 1, lsn, 128, RING_COMMITTED));
    ck_assert(ring_finish(&ring, 1, lsn, 64, RING_COMMITTED));
    ck_assert(!ring_finish(&ring, 1, lsn, 64, RING_DISCARDED));
    ck_assert_int_eq(ring_header_state(ring_read(&ring, lsn)), RING_COMMITTED);
}
END_TEST

START_TEST(ring_watermark_stops_at_a_hole)
{
    uint64_t first = reserve(1, 64);
    uint64_t second = reserve(2, 64);
    ck_assert(ring_finish(&ring, 2, second, 64, RING_COMMITTED));
    ck_assert_uint_eq(ring_finished_until(&ring, 0), 0);
    ck_assert(ring_finish(&ring, 1, first, 64, RING_COMMITTED));
    ck_assert_uint_eq(ring_finished_until(&ring, 0), 128);
}
END_TEST

/* Where it was told to begin, another lap's extent stands by now. */
START_TEST(ring_watermark_begins_at_the_head_if_that_has_gone_on)
{
    for (int i = 0; i < 2; i++)
        ring_finish(&ring, 1, reserve(1, SIZE / 2), SIZE / 2, RING_COMMITTED);
    ck_assert_uint_eq(ring_finished_until(&ring, 0), SIZE);
    atomic_store(&head, SIZE);
    ring_finish(&ring, 1, reserve(1, 64), 64, RING_COMMITTED);
    ck_assert_uint_eq(ring_finished_until(&ring, 0), SIZE + 64);
}
END_TEST

START_TEST(ring_header_of_an_earlier_lap_is_stale)
{
    for (int lap = 0; lap < 5; lap++) {
        uint64_t lsn = reserve(1, SIZE / 2);
        struct ring_header open;
        ck_assert(!ring_finished_at(&ring, lsn));
        ck_assert(ring_find_open(&ring, lsn, &open));
        ck_assert(ring_finish(&ring, 1, lsn, SIZE / 2, RING_COMMITTED));
        atomic_store(&head, ring_end(&ring));
        if (lap >= 2) /* a store meant for the lap before comes too late */
            ck_assert(!ring_finish(&ring, 1, lsn - SIZE, SIZE / 2, RING_DISCARDED));
    }
}
END_TEST

START_TEST(ring_extent_that_passes_the_end_is_contiguous)
{
    uint64_t lsn = reserve(1, SIZE - 64);
    ck_assert(ring_finish(&ring, 1, lsn, SIZE - 64, RING_COMMITTED));
    atomic_store(&head, SIZE - 64);
    lsn = reserve(1, 256);
    char *bytes = ring_at(&ring, lsn);
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    ck_assert_int_eq(ring.bytes[0], 64); /* the second view is the first one's beginning */
}
END_TEST

START_TEST(ring_begins_where_the_log_ends)
{
    teardown();
    setup_at(UINT64_C(1) << 40);
    uint64_t lsn = reserve(1, 64);
    ck_assert_uint_eq(lsn, UINT64_C(1) << 40);
    ck_assert(ring_finish(&ring, 1, lsn, 64, RING_COMMITTED));
    ck_assert_uint_eq(ring_finished_until(&ring, lsn), lsn + 64);
}
END_TEST

/* ---- Threads: producers that write what names them, a consumer that checks every byte. ---- */

enum { PRODUCERS = 3, EXTENTS_EACH = 20000 };

static uint64_t span_of(uint64_t owner, uint64_t i)
{
    return RING_UNIT * (1 + (owner * 7 + i * 5) % 4);
}

static void *produce(void *argument)
{
    uint64_t owner = (uint64_t)(uintptr_t)argument;
    struct ring mine = ring; /* head_seen is a process's own */
    for (uint64_t i = 0; i < EXTENTS_EACH; i++) {
        uint64_t lsn, span = span_of(owner, i);
        while (ring_reserve(&mine, owner, span, &lsn) == -EAGAIN)
            sched_yield();
        uint64_t *words = ring_at(&mine, lsn);
        words[0] = owner;
        words[1] = i;
        words[span / 8 - 1] = lsn;
        bool discard = i % 16 == 15;
        if (!ring_finish(&mine, owner, lsn, span, discard ? RING_DISCARDED : RING_COMMITTED))
            abort();
    }
    return NULL;
}

START_TEST(ring_keeps_what_threads_commit_at_once)
{
    pthread_t threads[PRODUCERS];
    uint64_t next[PRODUCERS + 1] = {0}, position = 0, left = PRODUCERS * EXTENTS_EACH;
    for (uintptr_t i = 0; i < PRODUCERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, produce, (void *)(i + 1)), 0);
    while (left > 0) {
        struct ring_header header = ring_read(&ring, position);
        if (ring_header_lsn(header) != position || ring_header_state(header) < RING_COMMITTED) {
            sched_yield();
            continue;
        }
        uint64_t owner = ring_extent_owner(header.extent), span = ring_extent_span(header.extent);
        const uint64_t *words = ring_at(&ring, position);
        ck_assert_uint_ge(owner, 1);
        ck_assert_uint_le(owner, PRODUCERS);
        ck_assert_uint_eq(span, span_of(owner, next[owner]));
        ck_assert_uint_eq(words[0], owner);
        ck_assert_uint_eq(words[1], next[owner]);
        ck_assert_uint_eq(words[span / 8 - 1], position);
        ck_assert_int_eq(ring_header_state(header),
                         next[owner] % 16 == 15 ? RING_DISCARDED : RING_COMMITTED);
        next[owner]++;
        position += span;
        left--;
        atomic_store_explicit(&head, position, memory_order_release);
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(ring_end(&ring), position);
}
END_TEST

/* ---- Damage: ring/mend.h ---- */

enum { SPAN_MAX = SIZE / 2 };

static AO_double_t *header(uint64_t lsn)
{
    return &headers[lsn % SIZE / RING_UNIT];
}

static uint64_t commit(uint64_t owner, uint64_t span)
{
    uint64_t lsn = reserve(owner, span);
    ck_assert(ring_finish(&ring, owner, lsn, span, RING_COMMITTED));
    return lsn;
}

START_TEST(ring_that_only_the_protocol_has_touched_is_never_called_damaged)
{
    ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_EMPTY);
    reserve(1, 128);
    ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_OPEN); /* by the tail */
    commit(2, 64);
    ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_OPEN); /* by its header */
    ring_finish(&ring, 1, 0, 128, RING_DISCARDED);
    ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_FINISHED);
    ck_assert_int_eq(ring_examine(&ring, 128, SPAN_MAX), RING_FINISHED);
    ck_assert_int_eq(ring_examine(&ring, 192, SPAN_MAX), RING_EMPTY);
}
END_TEST

START_TEST(ring_skips_a_broken_header_up_to_the_next_sound_one)
{
    static const struct ring_header broken[] = {
        {0, 0},                             /* as if never used */
        {64 | RING_COMMITTED, 1 << 24 | 3}, /* another extent's LSN */
        {0 | RING_COMMITTED, 1 << 24 | 2},  /* too short: nothing begins where it ends */
        {0 | RING_COMMITTED, 1 << 24 | 5},  /* too long: it ends within another one */
        {0 | RING_COMMITTED, 1 << 24},      /* no length */
        {0 | RING_RESERVED, 1 << 24 | 999}, /* longer than any */
        {0 | 7, 1 << 24 | 3},               /* no state */
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        teardown();
        setup();
        commit(1, 192);
        commit(2, 192);
        commit(3, 64);
        header(0)->AO_val1 = broken[i].position;
        header(0)->AO_val2 = broken[i].extent;
        ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_BROKEN);
        ck_assert_uint_eq(ring_skip_damage(&ring, 0, SPAN_MAX), 192);
        ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_FINISHED);
        ck_assert_int_eq(ring_header_state(ring_read(&ring, 0)), RING_DISCARDED);
        ck_assert_int_eq(ring_examine(&ring, 192, SPAN_MAX), RING_FINISHED);
        ck_assert(!ring_finish(&ring, 1, 0, 192, RING_COMMITTED)); /* its owner is told */
    }
}
END_TEST

/* What is broken lies where the extent ends, or is its length alone. */
START_TEST(ring_extent_that_leads_nowhere_is_broken)
{
    commit(1, 192);
    ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_FINISHED);
    header(0)->AO_val2 = 1 << 24 | 4; /* beyond the tail's end */
    ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_BROKEN);
    header(0)->AO_val2 = 1 << 24 | 2 * UNITS; /* beyond the ring, in whose place others may be */
    ck_assert_int_eq(ring_examine(&ring, 0, 4 * SIZE), RING_BROKEN);
    header(0)->AO_val2 = 1 << 24 | 3;
    commit(2, 192);
    commit(3, 64);
    header(192)->AO_val1 = 192; /* no state */
    ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_BROKEN);
    ck_assert_uint_eq(ring_skip_damage(&ring, 0, SPAN_MAX), 384);
}
END_TEST

START_TEST(ring_tail_that_names_more_than_anybody_may_reserve_is_broken)
{
    reserve(1, SPAN_MAX + 64);
    ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX + 64), RING_OPEN);
    ck_assert_int_eq(ring_examine(&ring, 0, SPAN_MAX), RING_BROKEN);
}
END_TEST

START_TEST(ring_damage_longer_than_a_record_is_skipped_in_parts)
{
    commit(1, 2048);
    commit(2, 1024);
    memset(headers, 0, sizeof headers);
    ck_assert_uint_eq(ring_skip_damage(&ring, 0, SPAN_MAX), SPAN_MAX);
    ck_assert_int_eq(ring_examine(&ring, SPAN_MAX, SPAN_MAX),
                     RING_OPEN); /* the tail's word for it */
}
END_TEST

START_TEST(ring_tail_is_mended_to_the_end_of_what_is_sound)
{
    static const uint64_t broken[] = {UINT64_MAX, 0, 0x123456789abcdef, 64 + 7 * SIZE, 65};
    uint64_t lsn;
    commit(1, 64);
    atomic_store(&head, 64);
    commit(2, 128);
    commit(3, 192);
    ring_mend_tail(&ring, 64, SPAN_MAX); /* it is sound */
    ck_assert_uint_eq(ring_end(&ring), 384);
    header(256)->AO_val1 = 256 | RING_COMMITTED; /* as if one lay within another */
    header(256)->AO_val2 = 1 << 24 | 1;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        tail.word.AO_val1 = broken[i];
        ck_assert_int_eq(ring_reserve(&ring, 1, 64, &lsn), -EAGAIN); /* nobody goes astray */
        ck_assert_int_eq(ring_examine(&ring, 64, SPAN_MAX), RING_TAIL_BROKEN);
        ring_mend_tail(&ring, 64, SPAN_MAX);
        ck_assert_uint_eq(ring_end(&ring), 384);
        ck_assert_int_eq(ring_examine(&ring, 64, SPAN_MAX), RING_FINISHED);
    }
    ck_assert_uint_eq(reserve(1, 64), 384);
}
END_TEST

/* The tail was moved far ahead, over headers that were never used. */
START_TEST(ring_skips_damage_that_is_longer_than_any_extent)
{
    uint64_t span_max = SIZE / 8;
    tail.word.AO_val1 = SIZE - 64;
    ck_assert_int_eq(ring_examine(&ring, 0, span_max), RING_BROKEN);
    ck_assert_uint_eq(ring_skip_damage(&ring, 0, span_max), SIZE - 64);
    for (uint64_t lsn = 0; lsn < SIZE - 64; lsn += ring_extent_span(ring_read(&ring, lsn).extent))
        ck_assert_int_eq(ring_examine(&ring, lsn, span_max), RING_FINISHED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("ring");
    TCase *steps = tcase_create("steps");
    tcase_add_checked_fixture(steps, setup, teardown);
    tcase_add_test(steps, ring_reserves_extents_end_to_end);
    tcase_add_test(steps, ring_skips_damage_that_is_longer_than_any_extent);
    tcase_add_test(steps, ring_reserve_fails_when_full_and_changes_nothing);
    tcase_add_test(steps, ring_gives_room_back_when_the_head_moves);
    tcase_add_test(steps, ring_reserve_completes_the_header_before_it);
    tcase_add_test(steps, ring_names_an_open_reservation_from_the_tail_or_the_header);
    tcase_add_test(steps, ring_commits_whether_or_not_somebody_helped);
    tcase_add_test(steps, ring_finishes_an_extent_once_and_only_for_its_owner);
    tcase_add_test(steps, ring_watermark_stops_at_a_hole);
    tcase_add_test(steps, ring_header_of_an_earlier_lap_is_stale);
    tcase_add_test(steps, ring_extent_that_passes_the_end_is_contiguous);
    tcase_add_test(steps, ring_begins_where_the_log_ends);
    tcase_add_test(steps, ring_that_only_the_protocol_has_touched_is_never_called_damaged);
    tcase_add_test(steps, ring_skips_a_broken_header_up_to_the_next_sound_one);
    tcase_add_test(steps, ring_extent_that_leads_nowhere_is_broken);
    tcase_add_test(steps, ring_tail_that_names_more_than_anybody_may_reserve_is_broken);
    tcase_add_test(steps, ring_watermark_begins_at_the_head_if_that_has_gone_on);
    tcase_add_test(steps, ring_damage_longer_than_a_record_is_skipped_in_parts);
    tcase_add_test(steps, ring_tail_is_mended_to_the_end_of_what_is_sound);
    suite_add_tcase(suite, steps);
    TCase *threads = tcase_create("threads");
    tcase_set_timeout(threads, 300);
    tcase_add_checked_fixture(threads, setup, teardown);
    tcase_add_test(threads, ring_keeps_what_threads_commit_at_once);
    suite_add_tcase(suite, threads);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
