/* SPDX-License-Identifier: MIT
 *
 * The flusher shuts a ring that bears its name no more, in private memory.
 *
 * LDFLAGS: -Wl,--wrap=ring_reserve */
#include "flusher/flusher.h"

#include "ring/ring.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 1024, UNITS = SIZE / RING_UNIT, SPAN_MAX = 448 }; /* two pieces and a shorter one */

static struct ring_tail_word tail;
static _Alignas(16) AO_double_t headers[UNITS];
static _Atomic uint64_t head;
static struct flusher flusher;
static struct ring *const ring = &flusher.region.region.ring;

/* Before which of the flusher's calls somebody else reserves. */
static int between;
static uint64_t others_lsn;

int __real_ring_reserve(struct ring *taken, uint64_t owner, uint64_t span, uint64_t *lsn);
int __wrap_ring_reserve(struct ring *taken, uint64_t owner, uint64_t span, uint64_t *lsn);
int __wrap_ring_reserve(struct ring *taken, uint64_t owner, uint64_t span, uint64_t *lsn)
{
    if (between-- == 0)
        ck_assert_int_eq(__real_ring_reserve(taken, 7, RING_UNIT, &others_lsn), 0);
    return __real_ring_reserve(taken, owner, span, lsn);
}

static void setup(void)
{
    memset(headers, 0, sizeof headers);
    memset(&flusher, 0, sizeof flusher);
    between = -1;
    flusher.span_max = SPAN_MAX;
    flusher.gathered = flusher.durable = 4 * SIZE + 128;
    ring_initialize(&tail, flusher.gathered);
    atomic_store(&head, flusher.gathered);
    ring->tail = &tail;
    ring->headers = headers;
    ring->size = SIZE;
    ring->head = &head;
    atomic_store(&ring->head_seen, flusher.gathered);
}

START_TEST(ring_that_is_shut_takes_nothing)
{
    uint64_t lsn;
    ck_assert(shut_ring(&flusher));
    ck_assert_int_eq(ring_reserve(ring, 7, RING_UNIT, &lsn), -EAGAIN);
}
END_TEST

/* All that was taken is a filler then, and what came between is there to be committed. */
START_TEST(ring_that_something_comes_to_is_not_shut)
{
    between = _i;
    ck_assert(!shut_ring(&flusher));
    ck_assert(ring_is_open(ring, 7, others_lsn, RING_UNIT));
    ck_assert(ring_finish(ring, 7, others_lsn, RING_UNIT, RING_COMMITTED));
    uint64_t lsn = flusher.gathered, found = 0;
    while (lsn < ring_end(ring)) {
        struct ring_header header = ring_read(ring, lsn);
        ck_assert_uint_eq(ring_header_lsn(header), lsn);
        bool others = lsn == others_lsn;
        ck_assert_int_eq(ring_header_state(header), others ? RING_COMMITTED : RING_DISCARDED);
        found += others;
        lsn += ring_extent_span(header.extent);
    }
    ck_assert_uint_eq(found, 1);
    flusher.gathered = lsn;
    atomic_store(&head, lsn);
    ck_assert(shut_ring(&flusher)); /* once that is written */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shut");
    TCase *cases = tcase_create("shut");
    tcase_add_checked_fixture(cases, setup, NULL);
    tcase_add_test(cases, ring_that_is_shut_takes_nothing);
    tcase_add_loop_test(cases, ring_that_something_comes_to_is_not_shut, 0, 3);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
