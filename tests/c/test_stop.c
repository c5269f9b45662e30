/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_process_await_end
 *
 * Stopping a flusher from outside: where it can be seen as a process, where it cannot, and where
 * its process does not end. What a stop leaves behind is test_flusher.c's. */
#include "support.h"

#include "region/region.h"
#include "region/shm.h"
#include "sys/fork.h"
#include "sys/lock.h"
#include "sys/process.h"

#include <errno.h>
#include <sys/mman.h>

static shmwal *log_;
static struct directory directory;
static struct flusher_state *state; /* writable, as the flusher has it */

static void setup(void)
{
    support_setup();
    log_ = support_open(0);
    SUPPORT_OK(directory_open(support_log, true, &directory));
    int fd = shm_object_open(&directory, SHM_STATE, true);
    SUPPORT_OK(fd);
    SUPPORT_OK(shm_map_state(&directory, fd, true, &state));
    sys_fork_close(fd);
}

static void teardown(void)
{
    munmap(state, sizeof *state);
    directory_close(&directory);
    shmwal_close(log_);
    support_teardown();
}

static int awaited; /* how often a process's end was */
static int await_error;

int __real_sys_process_await_end(int fd, int64_t deadline_ns);
int __wrap_sys_process_await_end(int fd, int64_t deadline_ns);
int __wrap_sys_process_await_end(int fd, int64_t deadline_ns)
{
    awaited++;
    return await_error != 0 ? -await_error : __real_sys_process_await_end(fd, deadline_ns);
}

static bool serves(void)
{
    return sys_lock_held(directory.lock_fd, LOCK_FLUSHER, 1) == 1;
}

START_TEST(stop_awaits_the_end_of_a_process_that_can_be_seen)
{
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    ck_assert_int_eq(awaited, 1);
    ck_assert(!serves());
}
END_TEST

/* Its number is another process's here, or nobody's. */
START_TEST(stop_of_a_flusher_in_another_namespace_awaits_its_locks)
{
    atomic_store(&state->pid_namespace, sys_pid_namespace() + 1);
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    ck_assert_int_eq(awaited, 0);
    ck_assert(!serves());
}
END_TEST

START_TEST(stop_says_that_the_process_does_not_end)
{
    await_error = ETIMEDOUT;
    ck_assert_int_eq(shmwal_stop(support_log, 60 * SECONDS), -ETIMEDOUT);
    ck_assert_msg(strstr(shmwal_error(), "has not ended") != NULL, "%s", shmwal_error());
    ck_assert(!serves());
}
END_TEST

/* It stays in the ring, for the next flusher. */
START_TEST(stop_waits_only_so_long_for_an_open_reservation)
{
    shmwal_slot slot;
    uint64_t lsn;
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    *(char *)slot.data = 'x';
    SUPPORT_OK(shmwal_commit(log_, &slot, &lsn));
    shmwal *next = support_open(0);
    SUPPORT_OK(shmwal_wait(next, lsn, SHMWAL_DURABLE, 60 * SECONDS));
    shmwal_close(next);
}
END_TEST

/* Nobody will ever find that ring: what stays open in it is given up. */
START_TEST(removed_ring_is_left_though_a_reservation_stays_open)
{
    shmwal_slot slot;
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    shm_remove(&directory);
    while (serves())
        usleep(1000);
    SUPPORT_OK(shmwal_discard(log_, &slot));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stop");
    TCase *cases = tcase_create("stop");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, stop_awaits_the_end_of_a_process_that_can_be_seen);
    tcase_add_test(cases, stop_of_a_flusher_in_another_namespace_awaits_its_locks);
    tcase_add_test(cases, stop_says_that_the_process_does_not_end);
    tcase_add_test(cases, stop_waits_only_so_long_for_an_open_reservation);
    tcase_add_test(cases, removed_ring_is_left_though_a_reservation_stays_open);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
