/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_pwrite_full,--wrap=sys_fdatasync,--wrap=sys_fsync,--wrap=sys_allocate
 * LDFLAGS: -Wl,--wrap=sys_mkdirat,--wrap=sys_renameat,--wrap=probe_sync,--wrap=spare_want
 * LDFLAGS: -Wl,--wrap=segment_write,--wrap=pthread_create
 *
 * The store with several frames in flight: writes that land in any order, that fail while others
 * fly, and rolls meanwhile. Every test runs with each way of syncing. */
#include "disk.h"
#include "faults.h"
#include "store/probe.h"
#include "store/spare.h"

#include <pthread.h>
#include <sched.h>

/* ---- What is faked ---- */

static enum segment_sync chosen;

enum segment_sync __wrap_probe_sync(int segments_fd);
enum segment_sync __wrap_probe_sync(int segments_fd)
{
    int fd = openat(segments_fd, "probe.tmp", O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0)
        return SYNC_FDATASYNC;
    close(fd);
    unlinkat(segments_fd, "probe.tmp", 0);
    return chosen;
}

static bool spares_wanted;

void __real_spare_want(struct spare *spare, enum spare_kind kind);
void __wrap_spare_want(struct spare *spare, enum spare_kind kind);
void __wrap_spare_want(struct spare *spare, enum spare_kind kind)
{
    if (spares_wanted)
        __real_spare_want(spare, kind);
}

static bool threads_refused;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*serve)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*serve)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*serve)(void *), void *argument)
{
    return threads_refused ? EAGAIN : __real_pthread_create(thread, attributes, serve, argument);
}

/* The writes of frames that a test has issued, by buffer and LSN. */
enum { FRAMES_MAX = 512 };

static struct {
    const void *_Atomic frame;
    _Atomic uint64_t first_lsn;
    atomic_bool held;       /* does not land before it is released */
    atomic_int error;       /* of its next write, which puts half of it there */
    atomic_int error_again; /* of the write after that */
    atomic_int landed;      /* writes that are over */
} flights[FRAMES_MAX];
static unsigned flight_count;

static int flight_write(unsigned i, const struct segment *segment, const void *data, uint64_t bytes,
                        uint64_t offset)
{
    while (atomic_load(&flights[i].held))
        sched_yield();
    int error = atomic_exchange(&flights[i].error, atomic_load(&flights[i].error_again));
    atomic_store(&flights[i].error_again, 0);
    if (error == 0)
        return 0;
    uint64_t half = bytes / 2 / FORMAT_BLOCK * FORMAT_BLOCK;
    if (half > 0)
        sys_pwrite_full(segment->fd, data, half, offset, false);
    return (fail_errno)(error, "segment %s: a test made the write at %llu fail", segment->name,
                        (unsigned long long)offset);
}

int __real_segment_write(const struct segment *segment, const void *data, uint64_t bytes,
                         uint64_t offset);
int __wrap_segment_write(const struct segment *segment, const void *data, uint64_t bytes,
                         uint64_t offset);
int __wrap_segment_write(const struct segment *segment, const void *data, uint64_t bytes,
                         uint64_t offset)
{
    const struct frame_header *frame = data;
    unsigned i = FRAMES_MAX;
    if (memcmp(frame->magic, "DLframe1", 8) == 0 && frame->kind == FRAME_DATA)
        for (i = 0; i < FRAMES_MAX; i++)
            if (atomic_load(&flights[i].frame) == data &&
                atomic_load(&flights[i].first_lsn) == frame->first_lsn)
                break;
    if (i == FRAMES_MAX)
        return __real_segment_write(segment, data, bytes, offset);
    int error = flight_write(i, segment, data, bytes, offset);
    if (error == 0)
        error = __real_segment_write(segment, data, bytes, offset);
    atomic_fetch_add(&flights[i].landed, 1);
    return error;
}

/* ---- Frames in flight ---- */

alignas(FORMAT_BLOCK) static char buffers[STORE_FRAMES][DISK_FRAME_BYTES];

static void setup(void)
{
    disk_setup();
    spares_wanted = threads_refused = false;
    memset((void *)flights, 0, sizeof flights);
    flight_count = 0;
}

static void release_all(void)
{
    for (unsigned i = 0; i < FRAMES_MAX; i++)
        atomic_store(&flights[i].held, false);
}

static void teardown(void)
{
    release_all();
    faults_disarm();
    disk_teardown();
}

/* Issues `records` records as one frame, which is flights[] of the number that it returns. They
 * count as written, since the store has them now. */
static int try_issue(struct store *store, unsigned records)
{
    char *buffer = buffers[flight_count % STORE_FRAMES];
    uint64_t bytes = disk_gather(records);
    memcpy(buffer, disk_frame, sizeof(struct frame_header) + bytes);
    atomic_store(&flights[flight_count].first_lsn, disk_lsn);
    atomic_store(&flights[flight_count].frame, buffer);
    int error = store_issue(store, (struct frame_header *)buffer, disk_lsn, bytes, records);
    if (error < 0)
        return error;
    disk_lsn += bytes;
    disk_records += records;
    flight_count++;
    return 0;
}

static unsigned issue(struct store *store, unsigned records)
{
    ck_assert_uint_lt(flight_count, FRAMES_MAX);
    OK(try_issue(store, records));
    return flight_count - 1;
}

static void settle_all(struct store *store)
{
    while (store_in_flight(store) > 0)
        OK(store_settle(store));
    ck_assert_uint_eq(store_durable(store), disk_lsn);
}

static void await_landing(unsigned flight)
{
    while (atomic_load(&flights[flight].landed) == 0)
        sched_yield();
}

static void expect_all_read(void)
{
    struct disk_reading reading = disk_read();
    ck_assert_msg(reading.status == 0, "%s", fail_sentence());
    ck_assert_uint_eq(reading.records, disk_records);
    ck_assert(!reading.found);
}

/* What is there is what was written, in order, at least to `lsn`; what follows it may be torn. */
static void expect_read_to(uint64_t lsn)
{
    struct disk_reading reading = disk_read();
    ck_assert_msg(reading.status == 0, "%s", fail_sentence());
    ck_assert_uint_ge(reading.lsn, lsn);
}

/* ---- Landing ---- */

START_TEST(frames_become_durable_in_order_however_they_land)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    uint64_t ends[STORE_FRAMES];
    for (unsigned i = 0; i < STORE_FRAMES; i++) {
        atomic_store(&flights[i].held, i == 0 || i == 2);
        issue(store, 5 + i);
        ends[i] = disk_lsn;
    }
    await_landing(1);
    await_landing(3);
    ck_assert_uint_eq(store_in_flight(store), STORE_FRAMES);
    ck_assert_uint_eq(store_durable(store), 0);
    ck_assert_uint_eq(disk_read().records, 0); /* a hole stands first */
    for (unsigned i = 0; i < STORE_FRAMES; i++) {
        atomic_store(&flights[i].held, false);
        OK(store_settle(store));
        ck_assert_uint_eq(store_durable(store), ends[i]);
    }
    ck_assert_uint_eq(store_in_flight(store), 0);
    OK(store_close(store));
    expect_all_read();
}
END_TEST

/* Else recovery would take the hole that a crash leaves among them for damage. */
START_TEST(frames_in_flight_do_not_claim_each_other_to_be_durable)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    OK(disk_write(store, 3));
    uint64_t durable = disk_lsn, end;
    for (unsigned i = 0; i < 3; i++) {
        atomic_store(&flights[i].held, i == 0);
        issue(store, 20);
    }
    await_landing(1);
    await_landing(2);
    OK(disk_recover(&end)); /* torn, and not damaged */
    ck_assert_uint_eq(end, durable);
    release_all();
    settle_all(store);
    OK(disk_write(store, 3));
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(frames_are_written_where_no_thread_can_be_had)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    threads_refused = true;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned i = 0; i < STORE_FRAMES; i++)
            issue(store, 10);
        settle_all(store);
    }
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(store_closes_over_frames_in_flight)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    for (unsigned i = 0; i < STORE_FRAMES; i++)
        issue(store, 10);
    OK(store_close(store));
    expect_all_read(); /* nobody promised it, but they were written */
}
END_TEST

/* ---- Failing ---- */

/* Each set of the frames in flight fails once, at first and again while they are re-homed. */
START_TEST(frames_that_fail_while_others_fly_are_rehomed_in_order)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    unsigned segments = 1;
    OK(disk_write(store, 1));
    for (unsigned set = 1; set < 1U << STORE_FRAMES; set++) {
        uint64_t cut = 0;
        for (unsigned i = 0; i < STORE_FRAMES; i++) {
            bool fails = (set >> i & 1) != 0;
            atomic_store(&flights[flight_count].error, fails ? EIO : 0);
            if (fails && cut == 0)
                cut = disk_lsn;
            issue(store, 6);
        }
        settle_all(store);
        segments++;
        ck_assert_uint_eq(disk_segments(), segments);
        ck_assert_uint_eq(disk_segment_lsn(segments - 1), cut);
        expect_all_read();
    }
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(frame_that_fails_twice_kills_the_store_but_not_what_was_before_it)
{
    for (unsigned bad = 0; bad < STORE_FRAMES; bad++) {
        teardown();
        setup();
        chosen = (enum segment_sync)_i;
        struct store *store = disk_store();
        uint64_t durable = 0;
        for (unsigned i = 0; i < STORE_FRAMES; i++) {
            if (i == bad) {
                durable = disk_lsn;
                atomic_store(&flights[i].error, EIO);
                atomic_store(&flights[i].error_again, EIO);
            }
            issue(store, 6);
        }
        for (unsigned i = 0; i < bad; i++)
            OK(store_settle(store));
        FAILS(EIO, store_settle(store));
        ck_assert_ptr_nonnull(strstr(fail_sentence(), "made the write"));
        ck_assert_uint_eq(store_durable(store), durable);
        FAILS(EIO, store_settle(store)); /* it is not tried again, though it would work */
        OK(store_close(store));
        expect_read_to(durable);
        disk_lsn = durable;
        disk_records = disk_first_after(durable);
        store = disk_store();
        OK(disk_write(store, 5));
        OK(store_close(store));
        expect_all_read();
    }
}
END_TEST

/* The device is full when a frame in flight fails, and stays so for a while. */
START_TEST(frame_that_finds_no_room_waits_with_those_behind_it)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    for (unsigned i = 0; i < 3; i++) {
        atomic_store(&flights[i].error, i == 1 ? ENOSPC : 0);
        issue(store, 6);
    }
    OK(store_settle(store));
    uint64_t durable = store_durable(store);
    faults_arm(0, INT_MAX, ENOSPC, false);
    for (int i = 0; i < 3; i++) {
        FAILS(ENOSPC, store_settle(store));
        FAILS(ENOSPC, try_issue(store, 1));
        ck_assert_uint_eq(store_durable(store), durable);
        ck_assert_uint_eq(store_in_flight(store), 2);
    }
    faults_disarm();
    issue(store, 9);
    settle_all(store);
    ck_assert_uint_eq(disk_segments(), 2);
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(store_that_waits_for_room_can_be_closed)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    OK(disk_write(store, 4));
    uint64_t durable = disk_lsn;
    for (unsigned i = 0; i < 3; i++) {
        atomic_store(&flights[i].error, i == 0 ? EDQUOT : 0);
        issue(store, 6);
    }
    faults_arm(0, INT_MAX, EDQUOT, false);
    FAILS(EDQUOT, store_settle(store));
    faults_disarm();
    OK(store_close(store));
    expect_read_to(durable);
    ck_assert_uint_eq(disk_read().lsn, durable); /* no frame behind the hole is read */
}
END_TEST

/* ---- Rolling ---- */

/* Fills the first segment, so that the next frame of `records` records needs another one. */
static void fill_segment(struct store *store, unsigned records)
{
    uint64_t wanted = disk_gather(records);
    while (store_room(store) >= wanted) {
        OK(disk_write(store, 4));
        wanted = disk_gather(records);
    }
    ck_assert_uint_eq(disk_segments(), 1);
}

/* One frame in flight in the first segment, held, and two behind it that went to a successor. */
static struct store *roll_over_a_frame_in_flight(unsigned *held)
{
    struct store *store = disk_store();
    fill_segment(store, 120);
    while (store_room(store) < 8192)
        ck_abort_msg("the segment is too full for the test");
    *held = flight_count;
    atomic_store(&flights[*held].held, true);
    issue(store, 20);
    issue(store, 120);
    await_landing(*held + 1);
    issue(store, 20);
    await_landing(*held + 2);
    return store;
}

START_TEST(segment_has_no_name_before_all_in_front_of_it_is_durable)
{
    chosen = (enum segment_sync)_i;
    unsigned held;
    struct store *store = roll_over_a_frame_in_flight(&held);
    uint64_t first_lsn = flights[held + 1].first_lsn, durable = store_durable(store);
    ck_assert_uint_eq(disk_segments(), 1);
    ck_assert_uint_eq(durable, flights[held].first_lsn);
    ck_assert_uint_eq(disk_read().lsn, durable);
    atomic_store(&flights[held].held, false);
    OK(store_settle(store));
    ck_assert_uint_eq(store_durable(store), first_lsn);
    ck_assert_uint_eq(disk_segments(), 1); /* nothing in the new one counts yet */
    OK(store_settle(store));
    ck_assert_uint_eq(disk_segments(), 2);
    ck_assert_uint_eq(disk_segment_lsn(1), first_lsn);
    settle_all(store);
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(crash_before_a_segment_has_its_name_forgets_it)
{
    chosen = (enum segment_sync)_i;
    unsigned held;
    struct store *crashed = roll_over_a_frame_in_flight(&held), *store;
    uint64_t durable = store_durable(crashed);
    ck_assert_int_eq(faccessat(disk.segments_fd, "next.tmp", F_OK, 0), 0);
    disk_records = disk_first_after(durable);
    disk_lsn = durable;
    store = disk_store();
    ck_assert_int_ne(faccessat(disk.segments_fd, "next.tmp", F_OK, 0), 0);
    OK(disk_write(store, 30));
    expect_all_read();
    atomic_store(&flights[held].held, false); /* a write of the dead arrives late */
    await_landing(held);
    expect_all_read();
    OK(store_close(store));
    expect_all_read();
    disk_abandon(crashed);
}
END_TEST

/* The frame in the old segment fails, or one in the new one, or both. */
START_TEST(frames_of_two_segments_are_rehomed_in_order)
{
    for (unsigned set = 1; set < 8; set++) {
        teardown();
        setup();
        chosen = (enum segment_sync)_i;
        struct store *store = disk_store();
        fill_segment(store, 120);
        uint64_t cut = 0;
        for (unsigned i = 0; i < 3; i++) {
            atomic_store(&flights[i].error, (set >> i & 1) != 0 ? EIO : 0);
            if ((set & 1) != 0 ? i == 0 : i == 1)
                cut = disk_lsn;
            issue(store, i == 1 ? 120 : 20);
        }
        settle_all(store);
        ck_assert_uint_eq(disk_segment_lsn(1), cut);
        expect_all_read();
        OK(disk_write(store, 7));
        OK(store_close(store));
        expect_all_read();
    }
}
END_TEST

/* Each call that a roll over frames in flight makes fails once, with each kind of error. */
START_TEST(roll_survives_the_failure_of_any_of_its_calls)
{
    const int errors[] = {EIO, ENOSPC};
    bool struck = true;
    for (int call = 0; struck; call++) {
        teardown();
        setup();
        chosen = (enum segment_sync)_i;
        struct store *store = disk_store();
        fill_segment(store, 120);
        unsigned records[] = {20, 120, 20};
        faults_arm(call / 2, 1, errors[call % 2], false);
        for (unsigned i = 0; i < 3; i++) {
            int error = try_issue(store, records[i]);
            while (error == -ENOSPC)
                error = try_issue(store, records[i]);
            OK(error);
        }
        while (store_in_flight(store) > 0) {
            int error = store_settle(store);
            ck_assert_msg(error == 0 || error == -ENOSPC, "call %d: %s", call, fail_sentence());
        }
        struck = faults.struck > 0;
        faults_disarm();
        ck_assert_uint_eq(store_durable(store), disk_lsn);
        expect_all_read();
        OK(disk_write(store, 7));
        OK(store_close(store));
        expect_all_read();
    }
}
END_TEST

START_TEST(store_rolls_again_and_again_with_frames_in_flight)
{
    chosen = (enum segment_sync)_i;
    spares_wanted = true;
    struct store *store = disk_store();
    while (disk_records < 3000) {
        issue(store, 1 + disk_records * 7 % 110);
        if (store_in_flight(store) == STORE_FRAMES)
            OK(store_settle(store));
    }
    settle_all(store);
    OK(store_close(store));
    ck_assert_uint_gt(disk_segments(), 5);
    expect_all_read();
}
END_TEST

/* ---- Death at any moment ---- */

/* One life of a log on a device that dies at a chosen call: returns whether it came to that. */
static bool live_until(int call)
{
    struct store *store;
    faults_arm(call, INT_MAX, EIO, false);
    if (store_open(&disk, disk_lsn, &store) == 0) {
        int error = 0;
        while (error == 0 && disk_records < 500) {
            error = try_issue(store, 1 + disk_records % 90);
            while (error == 0 && store_in_flight(store) > disk_records / 7 % STORE_FRAMES)
                error = store_settle(store);
        }
        while (store_in_flight(store) > 0 && store_settle(store) == 0)
            ;
        disk_lsn = store_durable(store);
        disk_records = disk_first_after(disk_lsn);
        store_close(store);
    }
    bool died = faults.struck > 0;
    faults_disarm();
    return died;
}

START_TEST(nothing_durable_is_lost_wherever_the_device_dies)
{
    bool died = true;
    for (int call = 0; died; call += 1 + call / 16) {
        teardown();
        setup();
        chosen = (enum segment_sync)_i;
        died = live_until(call);
        uint64_t durable = disk_lsn, end;
        expect_read_to(durable);
        OK(disk_recover(&end));
        ck_assert_uint_ge(end, durable);
        struct store *store = disk_store(); /* as with a ring: goes on where it was durable */
        OK(disk_write(store, 5));
        OK(store_close(store));
        expect_all_read();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flight");
    TCase *tests = tcase_create("flight");
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 300);
    const TTest *const both[] = {
        frames_become_durable_in_order_however_they_land,
        frames_in_flight_do_not_claim_each_other_to_be_durable,
        frames_are_written_where_no_thread_can_be_had,
        store_closes_over_frames_in_flight,
        frames_that_fail_while_others_fly_are_rehomed_in_order,
        frame_that_fails_twice_kills_the_store_but_not_what_was_before_it,
        frame_that_finds_no_room_waits_with_those_behind_it,
        store_that_waits_for_room_can_be_closed,
        segment_has_no_name_before_all_in_front_of_it_is_durable,
        crash_before_a_segment_has_its_name_forgets_it,
        frames_of_two_segments_are_rehomed_in_order,
        roll_survives_the_failure_of_any_of_its_calls,
        store_rolls_again_and_again_with_frames_in_flight,
        nothing_durable_is_lost_wherever_the_device_dies,
    };
    for (size_t i = 0; i < sizeof both / sizeof *both; i++)
        tcase_add_loop_test(tests, both[i], 0, 2);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
