/* SPDX-License-Identifier: MIT
 *
 * What processes and threads do to themselves and to each other in the middle of things: die,
 * fork, exec, jump, cancel, and be mistaken for one another. include/shmwal.h says what holds.
 *
 * LDFLAGS: -Wl,--wrap=munmap,--wrap=ring_reserve */
#include "support.h"

#include "region/shm.h"
#include "region/view.h"
#include "sys/fork.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

static shmwal *log_;
static struct directory directory;
static struct region_view view;

static void setup(void)
{
    support_setup();
    log_ = support_open(0);
    SUPPORT_OK(directory_open(support_log, false, &directory));
    SUPPORT_OK(region_view_open(&directory, &view));
}

static void teardown(void)
{
    region_view_close(&view);
    directory_close(&directory);
    shmwal_close(log_);
    support_teardown();
}

static uint64_t append(const char *text)
{
    uint64_t lsn = 0;
    SUPPORT_OK(shmwal_append(log_, text, strlen(text), &lsn));
    return lsn;
}

static void wait_durable(uint64_t lsn)
{
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS));
}

/* Until the flusher sleeps and waits for whatever comes. */
static void await_idle(void)
{
    while (atomic_load(&view.control->awaited) != AWAITED_NEXT)
        sched_yield();
}

/* What is left when a producer is killed between its commit's two steps to wake the flusher: nobody
 * is called for any more. Whoever waits must ring. The flusher also looks up by itself now and
 * then, which may come first once, but not always. */
START_TEST(waiter_rings_for_a_process_that_died_before_it_rang)
{
    bool rung = false;
    for (int i = 0; i < 100 && !rung; i++) {
        wait_durable(append("before"));
        await_idle();
        atomic_store(&view.control->awaited, 0);
        uint32_t bell = atomic_load(&view.control->doorbell);
        wait_durable(append("behind"));
        rung = atomic_load(&view.control->doorbell) != bell;
    }
    ck_assert(rung);
}
END_TEST

/* ---- /dev/shm under a running log ---- */

static uint64_t count_records(void)
{
    shmwal_reader *reader;
    shmwal_record record;
    uint64_t records = 0;
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    while (shmwal_reader_next(reader, &record) == 1)
        records++;
    SUPPORT_OK(shmwal_reader_close(reader));
    return records;
}

/* In a child: whether the record behind `lsn` is `text`, once there is one. */
static pid_t read_in_child(uint64_t lsn, const char *text)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    shmwal_reader *reader;
    shmwal_record record;
    bool found = shmwal_reader_open(support_log, lsn, &reader) == 0 &&
                 shmwal_reader_wait(reader, 60 * SECONDS) == 0 &&
                 shmwal_reader_next(reader, &record) == 1 && record.length == strlen(text) &&
                 memcmp(record.data, text, record.length) == 0;
    _exit(found ? 0 : 1);
}

/* Until a reader sleeps for what comes behind all that is durable. */
static void await_reader(void)
{
    uint32_t shard = wait_shard_index(atomic_load(&view.state->durable_lsn) + FORMAT_UNIT);
    while (atomic_load(&view.control->shard_wanted[shard]) == 0)
        sched_yield();
}

/* Opens the log as soon as the flusher of the ring that was lost has ended. */
static void open_anew(void)
{
    shmwal_options options = support_options(0);
    int error;
    shmwal_close(log_);
    log_ = NULL;
    while ((error = shmwal_open(support_log, &options, &log_)) == -EBUSY)
        sched_yield();
    ck_assert_msg(error == 0, "%s", shmwal_error());
}

START_TEST(removed_ring_is_drained_and_its_flusher_ends)
{
    uint64_t appended = 0;
    shm_remove(&directory);
    /* Who finds the ring full and the flusher slow may fail before: the ring has no name. */
    for (int error = 0; error != -ESHUTDOWN; appended += error == 0)
        error = shmwal_append(log_, "x", 1, NULL);
    open_anew();
    wait_durable(append("behind"));
    ck_assert_uint_eq(count_records(), appended + 1);
}
END_TEST

/* Between a producer's look at the flusher and its reservation much may happen. */
static bool reserves_late;

int __real_ring_reserve(struct ring *ring, uint64_t owner, uint64_t span, uint64_t *lsn);
int __wrap_ring_reserve(struct ring *ring, uint64_t owner, uint64_t span, uint64_t *lsn);
int __wrap_ring_reserve(struct ring *ring, uint64_t owner, uint64_t span, uint64_t *lsn)
{
    while (reserves_late && atomic_load(&view.state->status) != FLUSHER_STOPPED)
        sched_yield();
    return __real_ring_reserve(ring, owner, span, lsn);
}

START_TEST(removed_ring_takes_nothing_that_would_be_lost)
{
    wait_durable(append("before"));
    shm_remove(&directory);
    reserves_late = true;
    int error = shmwal_append(log_, "late", 4, NULL);
    reserves_late = false;
    ck_assert_int_eq(error, -ESHUTDOWN);
    open_anew();
    wait_durable(append("behind"));
    ck_assert_uint_eq(count_records(), 2);
}
END_TEST

START_TEST(removed_ring_whose_flusher_was_killed_is_an_error)
{
    wait_durable(append("durable"));
    kill(atomic_load(&view.state->pid), SIGKILL);
    shm_remove(&directory);
    uint64_t lsn = append("lost");
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS), -EIO);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "was removed from /dev/shm"));
    open_anew();
    ck_assert_uint_eq(count_records(), 1);
}
END_TEST

/* A flusher that ends tells its readers to look for another ring; one that was killed cannot. */
START_TEST(reader_finds_the_ring_behind_one_that_was_removed)
{
    uint64_t lsn = append("before");
    wait_durable(lsn);
    pid_t child = read_in_child(lsn, "behind");
    await_reader();
    ck_assert_int_eq(kill(atomic_load(&view.state->pid), _i == 0 ? SIGKILL : SIGCONT), 0);
    shm_remove(&directory);
    open_anew();
    wait_durable(append("behind"));
    ck_assert_int_eq(support_wait(child), 0);
}
END_TEST

/* This process must not touch it any more, and is not attached. */
START_TEST(truncated_ring_ends_the_flusher_and_nothing_durable_is_lost)
{
    wait_durable(append("durable"));
    int fd = shm_object_open(&directory, SHM_RING, true);
    shmwal_close(log_);
    log_ = NULL;
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    sys_fork_close(fd);
    open_anew();
    wait_durable(append("behind"));
    ck_assert_uint_eq(count_records(), 2);
}
END_TEST

static bool stop_before_unmapping;

int __real_munmap(void *address, size_t length);
int __wrap_munmap(void *address, size_t length);

int __wrap_munmap(void *address, size_t length)
{
    bool stop = stop_before_unmapping;
    stop_before_unmapping = false;
    if (stop)
        SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    return __real_munmap(address, length);
}

/* The flusher finds it attached, and leaves the ring to it. */
START_TEST(handle_that_is_closed_just_while_the_flusher_stops_removes_the_ring)
{
    stop_before_unmapping = true;
    SUPPORT_OK(shmwal_close(log_));
    log_ = NULL;
    ck_assert(!stop_before_unmapping);
    ck_assert_int_eq(shm_object_open(&directory, SHM_RING, false), -ENOENT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("processes");
    TCase *cases = tcase_create("processes");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, waiter_rings_for_a_process_that_died_before_it_rang);
    /* Now and then the log is opened just while that flusher writes its last. */
    tcase_add_loop_test(cases, removed_ring_is_drained_and_its_flusher_ends, 0, 5);
    tcase_add_test(cases, removed_ring_takes_nothing_that_would_be_lost);
    tcase_add_test(cases, removed_ring_whose_flusher_was_killed_is_an_error);
    tcase_add_loop_test(cases, reader_finds_the_ring_behind_one_that_was_removed, 0, 2);
    tcase_add_test(cases, truncated_ring_ends_the_flusher_and_nothing_durable_is_lost);
    tcase_add_test(cases, handle_that_is_closed_just_while_the_flusher_stops_removes_the_ring);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
