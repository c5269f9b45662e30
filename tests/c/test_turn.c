/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_pread_full -Wl,--wrap=sys_pwrite_full
 *
 * Several rings of one log, as in several /dev/shm: the cases of region/turn.h, and turns at random
 * against a plain list of what must be in the log. A ring of another /dev/shm is one whose names
 * were taken away here; tests/python/test_containers.py has true ones. */
#include "region/turn.h"

#include "region/region.h"
#include "region/shm.h"
#include "support.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/pidfd.h>

static struct directory directory;

/* ---- Faults ---- */

/* The next access to LOG/lock fails so. */
static int lock_read_error, lock_write_error;

static bool is_lock(int fd)
{
    struct stat one, other;
    return directory.lock_fd >= 0 && fstat(fd, &one) == 0 &&
           fstat(directory.lock_fd, &other) == 0 && one.st_ino == other.st_ino &&
           one.st_dev == other.st_dev;
}

ssize_t __real_sys_pread_full(int fd, void *data, size_t length, uint64_t offset);
ssize_t __wrap_sys_pread_full(int fd, void *data, size_t length, uint64_t offset);
ssize_t __wrap_sys_pread_full(int fd, void *data, size_t length, uint64_t offset)
{
    if (lock_read_error != 0 && is_lock(fd))
        return -lock_read_error;
    return __real_sys_pread_full(fd, data, length, offset);
}

int __real_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable)
{
    if (lock_write_error != 0 && is_lock(fd))
        return -lock_write_error;
    return __real_sys_pwrite_full(fd, data, length, offset, durable);
}

/* ---- Rings come and go ---- */

/* The place of an object of /dev/shm number `place`; 0 is the one in use. */
static void object_path(enum shm_object object, int place, char path[256])
{
    char name[SHM_NAME_BYTES];
    shm_object_name(&directory, object, name);
    if (place == 0)
        snprintf(path, 256, "/dev/shm%s", name);
    else
        snprintf(path, 256, "/dev/shm%s.%d", name, place);
}

static void move_ring(int from, int to)
{
    char old[256], new[256];
    for (int object = SHM_RING; object <= SHM_STATE; object++) {
        object_path((enum shm_object)object, from, old);
        object_path((enum shm_object)object, to, new);
        ck_assert(rename(old, new) == 0 || errno == ENOENT);
    }
}

static bool ring_exists(void)
{
    char path[256];
    object_path(SHM_RING, 0, path);
    return access(path, F_OK) == 0;
}

static void remove_ring(int place)
{
    char path[256];
    for (int object = SHM_RING; object <= SHM_STATE; object++) {
        object_path((enum shm_object)object, place, path);
        unlink(path);
    }
}

enum { PLACES = 4 }; /* /dev/shm number 1 to 3 */

static int current; /* the one whose ring has its names */

static void go_to(int place)
{
    if (place == current)
        return;
    move_ring(0, current);
    move_ring(place, 0);
    current = place;
}

static void setup(void)
{
    support_setup();
    SUPPORT_OK(directory_create(support_log, 64 * 1024, 256 * 1024));
    SUPPORT_OK(directory_open(support_log, true, &directory));
    lock_read_error = lock_write_error = 0;
    current = 1;
}

static void teardown(void)
{
    for (int place = 0; place < PLACES; place++)
        remove_ring(place);
    directory_close(&directory);
    support_teardown();
}

/* ---- What is done in one ---- */

static int try_open(uint32_t flags, shmwal **log)
{
    shmwal_options options = support_options(flags);
    return shmwal_open(support_log, &options, log);
}

static uint64_t append(shmwal *log, uint32_t number)
{
    uint64_t lsn = 0;
    SUPPORT_OK(shmwal_append(log, &number, sizeof number, &lsn));
    return lsn;
}

/* In the ring of `current`, where nobody serves it. */
static void leave(uint32_t number)
{
    shmwal *log = support_open(SHMWAL_NO_FLUSHER);
    append(log, number);
    shmwal_close(log);
}

/* The same, made durable; the flusher is asked to end. */
static void make_durable(uint32_t number)
{
    shmwal *log = support_open(0);
    SUPPORT_OK(shmwal_wait(log, append(log, number), SHMWAL_DURABLE, 60 * SECONDS));
    shmwal_close(log);
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
}

static void kill_flusher(void)
{
    shmwal_status status = {.size = sizeof status};
    SUPPORT_OK(shmwal_get_status(support_log, &status));
    ck_assert_int_gt(status.flusher_pid, 0);
    struct pollfd ended = {.fd = pidfd_open(status.flusher_pid, 0), .events = POLLIN};
    ck_assert_int_ge(ended.fd, 0);
    ck_assert_int_eq(kill(status.flusher_pid, SIGKILL), 0);
    ck_assert_int_eq(poll(&ended, 1, 60000), 1);
    close(ended.fd);
}

static struct flusher_state *map_state(void)
{
    struct flusher_state *state;
    int fd = shm_object_open(&directory, SHM_STATE, true);
    ck_assert_int_ge(fd, 0);
    SUPPORT_OK(shm_map_state(&directory, fd, true, &state));
    close(fd);
    return state;
}

/* As if its flusher had been killed between the sync of the last record and its announcement. */
static void forget_last_announcement(void)
{
    struct flusher_state *state = map_state();
    atomic_fetch_sub(&state->durable_lsn, 64);
    atomic_fetch_sub(&state->head_lsn, 64);
    munmap(state, sizeof *state);
}

static uint64_t ring_id(void)
{
    struct flusher_state *state = map_state();
    uint64_t id = state->ring_id;
    munmap(state, sizeof *state);
    return id;
}

static uint64_t named_ring(void)
{
    uint64_t id;
    SUPPORT_OK(directory_named_ring(&directory, &id));
    return id;
}

static void expect_refused(uint32_t flags, const char *words)
{
    shmwal *log;
    ck_assert_int_eq(try_open(flags, &log), -ESTALE);
    ck_assert_msg(strstr(shmwal_error(), words) != NULL, "%s", shmwal_error());
}

/* All that is durable, as readers see it, and that it is these numbers. */
static void expect_log(const uint32_t *numbers, size_t count)
{
    shmwal_reader *reader;
    shmwal_record record;
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    for (size_t i = 0; i < count; i++) {
        uint32_t number;
        int got = shmwal_reader_next(reader, &record);
        ck_assert_msg(got == 1, "record %zu of %zu: %d %s", i, count, got, shmwal_error());
        memcpy(&number, record.data, sizeof number);
        ck_assert_uint_eq(number, numbers[i]);
    }
    ck_assert_int_eq(shmwal_reader_next(reader, &record), 0);
    shmwal_reader_close(reader);
}

#define EXPECT_LOG(...)                                                                            \
    expect_log((const uint32_t[]){__VA_ARGS__},                                                    \
               sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

/* ---- The cases ---- */

START_TEST(new_ring_is_named)
{
    ck_assert_uint_eq(named_ring(), 0);
    leave(1);
    ck_assert_uint_ne(named_ring(), 0);
    ck_assert_uint_eq(named_ring(), ring_id());
    uint64_t first = named_ring();
    go_to(2);
    leave(2);
    ck_assert_uint_eq(named_ring(), ring_id());
    ck_assert_uint_ne(named_ring(), first);
}
END_TEST

/* @1. The disk is ahead of the ring, and is the ring's own. */
START_TEST(named_ring_goes_on_though_the_disk_is_ahead_of_it)
{
    make_durable(1);
    shmwal *log = support_open(0);
    SUPPORT_OK(shmwal_wait(log, append(log, 2), SHMWAL_DURABLE, 60 * SECONDS));
    kill_flusher();
    shmwal_close(log);
    forget_last_announcement();
    make_durable(3);
    EXPECT_LOG(1, 2, 3);
}
END_TEST

/* Neither: what the disk has more may be another ring's. */
START_TEST(ring_that_is_not_named_is_refused_where_the_disk_is_ahead_of_it)
{
    shmwal *log = support_open(0);
    SUPPORT_OK(shmwal_wait(log, append(log, 1), SHMWAL_DURABLE, 60 * SECONDS));
    kill_flusher();
    shmwal_close(log);
    forget_last_announcement();
    SUPPORT_OK(directory_name_ring(&directory, ring_id() + 2));
    expect_refused(0, "the last 64 bytes");
    expect_refused(SHMWAL_NO_FLUSHER, "behind LSN 0,");
    ck_assert(ring_exists());
    EXPECT_LOG(1);
}
END_TEST

/* The disk ends within what the ring holds: only the name tells. */
START_TEST(ring_is_refused_where_anothers_records_lie_in_its_place)
{
    leave(1);
    leave(2);
    go_to(2);
    make_durable(3);
    go_to(1);
    expect_refused(0, "the last 128 bytes");
    EXPECT_LOG(3);
    remove_ring(0);
    make_durable(4);
    EXPECT_LOG(3, 4);
}
END_TEST

/* @2. */
START_TEST(ring_goes_on_after_a_turn_in_which_nothing_was_written)
{
    leave(1);
    go_to(2);
    leave(2);
    uint64_t other = named_ring();
    go_to(1);
    make_durable(3);
    EXPECT_LOG(1, 3);
    go_to(2);
    ck_assert_uint_eq(ring_id(), other);
    expect_refused(0, "the last 64 bytes");
}
END_TEST

START_TEST(ring_goes_on_that_nobody_named)
{
    leave(1);
    SUPPORT_OK(directory_name_ring(&directory, 0));
    make_durable(2);
    EXPECT_LOG(1, 2);
}
END_TEST

START_TEST(ring_that_nobody_needs_makes_way)
{
    shmwal *log = support_open(0);
    SUPPORT_OK(shmwal_wait(log, append(log, 1), SHMWAL_DURABLE, 60 * SECONDS));
    kill_flusher();
    shmwal_close(log);
    go_to(2);
    make_durable(2);
    go_to(1);
    ck_assert(ring_exists());
    EXPECT_LOG(1, 2); /* readers see past it */
    make_durable(3);
    EXPECT_LOG(1, 2, 3);
}
END_TEST

START_TEST(ring_in_use_is_refused_until_it_is_not)
{
    shmwal *log = support_open(0);
    SUPPORT_OK(shmwal_wait(log, append(log, 1), SHMWAL_DURABLE, 60 * SECONDS));
    kill_flusher();
    go_to(2);
    make_durable(2);
    go_to(1);
    expect_refused(0, "and open it again");
    ck_assert(ring_exists());
    shmwal_close(log);
    make_durable(3);
    EXPECT_LOG(1, 2, 3);
}
END_TEST

/* A handle that was opened in time appends to the ring, and is told. */
START_TEST(wait_in_a_ring_that_the_log_has_gone_on_without_fails)
{
    shmwal *log = support_open(0);
    SUPPORT_OK(shmwal_wait(log, append(log, 1), SHMWAL_DURABLE, 60 * SECONDS));
    kill_flusher();
    go_to(2);
    make_durable(2);
    go_to(1);
    uint64_t lsn = append(log, 3);
    ck_assert_int_eq(shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS), -ESTALE);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "the last 64 bytes"));
    shmwal_close(log);
    EXPECT_LOG(1, 2);
}
END_TEST

/* ---- Faults ---- */

START_TEST(ring_that_cannot_be_named_is_not_made)
{
    shmwal *log;
    lock_write_error = ENOSPC;
    ck_assert_int_eq(try_open(SHMWAL_NO_FLUSHER, &log), -ENOSPC);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "log/lock"));
    ck_assert(!ring_exists());
    lock_write_error = 0;
    make_durable(1);
    EXPECT_LOG(1);
}
END_TEST

START_TEST(name_that_cannot_be_read_is_an_error_and_the_ring_stays)
{
    shmwal *log;
    leave(1);
    lock_read_error = EIO;
    ck_assert_int_eq(try_open(SHMWAL_NO_FLUSHER, &log), -EIO);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "log/lock"));
    lock_read_error = 0;
    make_durable(2);
    EXPECT_LOG(1, 2);
}
END_TEST

/* ---- Turns at random ---- */

enum { TURNS = 60, NUMBERS_MAX = 1000 };

struct numbers {
    uint32_t of[NUMBERS_MAX];
    size_t count;
};

static struct model {
    struct numbers durable;
    struct numbers left[PLACES]; /* in each ring, behind what is durable */
    bool forgot[PLACES];         /* it may not know all of its own that is durable */
    uint32_t next;
} model;

static void add(struct numbers *numbers, uint32_t number)
{
    ck_assert_uint_lt(numbers->count, NUMBERS_MAX);
    numbers->of[numbers->count++] = number;
}

static shmwal *open_or_give_up(uint32_t flags)
{
    shmwal *log;
    if (try_open(flags, &log) == 0)
        return log;
    ck_assert_msg(strstr(shmwal_error(), "has gone on through another") != NULL, "%s",
                  shmwal_error());
    ck_assert(model.left[current].count > 0 || model.forgot[current]);
    remove_ring(0);
    model.left[current].count = 0;
    model.forgot[current] = false;
    return support_open(flags);
}

static void append_to_model(shmwal *log, long count)
{
    for (long i = 0; i < count; i++) {
        append(log, model.next);
        add(&model.left[current], model.next++);
    }
}

static void turn_leaves(void)
{
    shmwal *log = open_or_give_up(SHMWAL_NO_FLUSHER);
    append_to_model(log, 1 + random() % 5);
    shmwal_close(log);
}

static void wait_for_all(shmwal *log)
{
    uint64_t lsn = shmwal_lsn(log, SHMWAL_COMMITTED);
    SUPPORT_OK(shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS));
    for (size_t i = 0; i < model.left[current].count; i++)
        add(&model.durable, model.left[current].of[i]);
    model.left[current].count = 0;
    model.forgot[current] = false;
}

static void turn_makes_durable(void)
{
    shmwal *log = open_or_give_up(0);
    append_to_model(log, random() % 5);
    wait_for_all(log);
    append_to_model(log, 1); /* in a frame of its own */
    wait_for_all(log);
    long end = random() % 3;
    if (end > 0)
        kill_flusher();
    shmwal_close(log);
    if (end == 0)
        SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    if (end == 2) {
        forget_last_announcement();
        model.forgot[current] = true;
    }
}

START_TEST(turns_at_random_lose_and_overwrite_nothing)
{
    memset(&model, 0, sizeof model);
    srandom((unsigned)_i);
    for (int turn = 0; turn < TURNS; turn++) {
        go_to(1 + (int)(random() % (PLACES - 1)));
        if (random() % 2 == 0)
            turn_leaves();
        else
            turn_makes_durable();
    }
    for (int place = 1; place < PLACES; place++) {
        go_to(place);
        shmwal *log = open_or_give_up(0);
        wait_for_all(log);
        shmwal_close(log);
        SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    }
    expect_log(model.durable.of, model.durable.count);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("turn");
    TCase *cases = tcase_create("turn");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, new_ring_is_named);
    tcase_add_test(cases, named_ring_goes_on_though_the_disk_is_ahead_of_it);
    tcase_add_test(cases, ring_that_is_not_named_is_refused_where_the_disk_is_ahead_of_it);
    tcase_add_test(cases, ring_is_refused_where_anothers_records_lie_in_its_place);
    tcase_add_test(cases, ring_goes_on_after_a_turn_in_which_nothing_was_written);
    tcase_add_test(cases, ring_goes_on_that_nobody_named);
    tcase_add_test(cases, ring_that_nobody_needs_makes_way);
    tcase_add_test(cases, ring_in_use_is_refused_until_it_is_not);
    tcase_add_test(cases, wait_in_a_ring_that_the_log_has_gone_on_without_fails);
    tcase_add_test(cases, ring_that_cannot_be_named_is_not_made);
    tcase_add_test(cases, name_that_cannot_be_read_is_an_error_and_the_ring_stays);
    tcase_add_loop_test(cases, turns_at_random_lose_and_overwrite_nothing, 1, 4);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
