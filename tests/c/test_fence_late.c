/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_process_open,--wrap=sys_process_kill,--wrap=sys_process_await_end
 *
 * shmwal_fence where something happens between its looks, where a call fails, and where what the
 * flusher has noted is of another reservation. There is no flusher: this test is what it would
 * be. */
#include "holder.h"

#include "region/attachment.h"
#include "region/held.h"
#include "region/region.h"
#include "region/shm.h"
#include "region/view.h"
#include "sys/clock.h"
#include "sys/fork.h"
#include "sys/lock.h"
#include "sys/process.h"

#include <sys/mman.h>

static shmwal *log_;
static struct directory directory;
static struct region_view view;
static struct flusher_state *state; /* writable, as the flusher has it */
static struct holder holder;

static void setup(void)
{
    support_setup();
    log_ = support_open(SHMWAL_NO_FLUSHER);
    SUPPORT_OK(directory_open(support_log, true, &directory));
    SUPPORT_OK(region_view_open(&directory, &view));
    int fd = shm_object_open(&directory, SHM_STATE, true);
    SUPPORT_OK(fd);
    SUPPORT_OK(shm_map_state(&directory, fd, true, &state));
    sys_fork_close(fd);
    holder = holder_start(log_);
}

static void teardown(void)
{
    munmap(state, sizeof *state);
    region_view_close(&view);
    shm_remove(&directory);
    directory_close(&directory);
    shmwal_close(log_);
    support_teardown();
}

/* ---- What happens meanwhile, and what fails ---- */

static void (*meanwhile)(void); /* runs once, when the first process is looked at */
static int open_error, kill_error, end_error;

int __real_sys_process_open(pid_t pid);
int __wrap_sys_process_open(pid_t pid);
int __wrap_sys_process_open(pid_t pid)
{
    void (*act)(void) = meanwhile;
    meanwhile = NULL;
    if (act != NULL)
        act();
    return open_error != 0 ? -open_error : __real_sys_process_open(pid);
}

int __real_sys_process_kill(int fd);
int __wrap_sys_process_kill(int fd);
int __wrap_sys_process_kill(int fd)
{
    if (kill_error == ESRCH)
        holder_kill(&holder); /* somebody else was faster */
    return kill_error != 0 ? -kill_error : __real_sys_process_kill(fd);
}

int __real_sys_process_await_end(int fd, int64_t deadline_ns);
int __wrap_sys_process_await_end(int fd, int64_t deadline_ns);
int __wrap_sys_process_await_end(int fd, int64_t deadline_ns)
{
    return end_error != 0 ? -end_error : __real_sys_process_await_end(fd, deadline_ns);
}

static int fence(uint32_t flags, shmwal_fencing *fencing)
{
    *fencing = (shmwal_fencing){.size = sizeof *fencing};
    return shmwal_fence(support_log, flags, 0, SECONDS, fencing);
}

static shmwal_fencing fence_ok(uint32_t flags)
{
    shmwal_fencing fencing;
    SUPPORT_OK(fence(flags, &fencing));
    return fencing;
}

static void expect_refusal(int error, const char *part)
{
    shmwal_fencing fencing;
    ck_assert_int_eq(fence(0, &fencing), error);
    ck_assert_msg(strstr(shmwal_error(), part) != NULL, "%s", shmwal_error());
}

static void finish_holder(void)
{
    holder_finish(&holder);
}

START_TEST(owner_that_commits_while_it_is_looked_for_is_left_alone)
{
    meanwhile = finish_holder;
    ck_assert_int_eq(fence_ok(0).done, SHMWAL_FENCED_NOTHING);
    ck_assert_ptr_null(meanwhile);
}
END_TEST

static shmwal_slot slot;

static void commit_slot(void)
{
    SUPPORT_OK(shmwal_commit(log_, &slot, NULL));
}

/* Who lives on, and would be refused: there is nothing to refuse any more. */
START_TEST(caller_that_commits_meanwhile_is_no_error)
{
    holder_finish(&holder);
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    expect_refusal(-EDEADLK, "this very process");
    meanwhile = commit_slot;
    shmwal_fencing fencing = fence_ok(0);
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_NOTHING);
    ck_assert_int_eq(fencing.pid, 0);
}
END_TEST

START_TEST(owner_that_may_not_be_killed_is_told)
{
    kill_error = EPERM;
    expect_refusal(-EPERM, "cannot be killed");
    ck_assert(holder_is_alive(&holder));
    holder_finish(&holder);
}
END_TEST

START_TEST(owner_that_dies_just_before_it_is_killed_is_as_good)
{
    kill_error = ESRCH;
    ck_assert_int_eq(fence_ok(0).done, SHMWAL_FENCED_KILLED);
}
END_TEST

START_TEST(owner_that_does_not_end_is_told)
{
    end_error = ETIMEDOUT;
    expect_refusal(-ETIMEDOUT, "has not ended yet");
    ck_assert_int_eq(support_wait(holder.pid), -SIGKILL);
}
END_TEST

START_TEST(owner_that_cannot_be_looked_for_is_left_alone)
{
    open_error = EMFILE;
    expect_refusal(-EMFILE, "cannot be looked for in /proc");
    open_error = ESRCH; /* all of them have just gone */
    expect_refusal(-ESRCH, "cannot be seen from here");
    open_error = 0;
    ck_assert(holder_is_alive(&holder));
    holder_finish(&holder);
}
END_TEST

/* ---- What the flusher has noted ---- */

#define HOUR (3600 * SECONDS)

static uint64_t age_by_note(uint64_t lsn, uint64_t owner, int64_t since_ns)
{
    struct held note = {.lsn = lsn, .owner = owner, .since_ns = since_ns};
    held_note(state, &note);
    return fence_ok(SHMWAL_FENCE_LOOK).age_ms;
}

START_TEST(age_is_the_flushers_only_for_the_same_reservation)
{
    uint64_t hour_ms = 3600 * 1000, owner = atomic_load(&holder_entry(&holder, view.control)->id);
    int64_t now = clock_monotonic_ns();
    ck_assert_uint_ge(age_by_note(0, owner, now - HOUR), hour_ms);
    ck_assert_uint_lt(age_by_note(64, owner, now - HOUR), hour_ms);
    ck_assert_uint_lt(age_by_note(0, owner + 1, now - HOUR), hour_ms);
    ck_assert_uint_lt(age_by_note(0, owner, now + HOUR), hour_ms);
    holder_finish(&holder);
}
END_TEST

/* It has the lock, and fills nothing any more. */
START_TEST(filler_is_not_waited_for_where_the_flusher_is_frozen)
{
    SUPPORT_OK(sys_lock_try(directory.lock_fd, LOCK_FLUSHER));
    holder_kill(&holder);
    expect_refusal(-ETIMEDOUT, "is not filled yet");
    atomic_store(&state->status, FLUSHER_FROZEN);
    shmwal_fencing fencing = fence_ok(0);
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_DEAD);
    ck_assert_int_eq(fencing.filled, 0);
    sys_unlock(directory.lock_fd, LOCK_FLUSHER);
}
END_TEST

/* Whether a flusher serves is not known then, so that none is waited for. */
START_TEST(log_without_its_lock_file_is_fenced_all_the_same)
{
    char lock[128];
    snprintf(lock, sizeof lock, "%s/lock", support_log);
    ck_assert_int_eq(unlink(lock), 0);
    shmwal_fencing fencing = fence_ok(0);
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_KILLED);
    ck_assert_int_eq(fencing.filled, 0);
    ck_assert_int_eq(support_wait(holder.pid), -SIGKILL);
    shm_remove(&directory);
    ck_assert_int_eq(fence_ok(0).done, SHMWAL_FENCED_NOTHING);
}
END_TEST

START_TEST(log_without_a_ring_has_nothing_to_fence)
{
    shm_remove(&directory);
    ck_assert_int_eq(fence_ok(0).done, SHMWAL_FENCED_NOTHING);
    holder_finish(&holder);
}
END_TEST

/* ---- Who is the flusher ---- */

/* A number is one process's in its namespace only; where that is not known, it is believed. */
START_TEST(flusher_is_known_by_its_pid_and_namespace)
{
    atomic_store(&state->pid, holder.pid);
    atomic_store(&state->pid_namespace, 0);
    expect_refusal(-EBADMSG, "is the log's flusher");
    atomic_store(&state->pid_namespace, sys_pid_namespace());
    expect_refusal(-EBADMSG, "is the log's flusher");
    ck_assert(holder_is_alive(&holder));
    atomic_store(&state->pid_namespace, sys_pid_namespace() + 1);
    ck_assert_int_eq(fence_ok(0).done, SHMWAL_FENCED_KILLED);
    ck_assert_int_eq(support_wait(holder.pid), -SIGKILL);
}
END_TEST

/* ---- Who it is, for those who only look ---- */

static shmwal_status status(void)
{
    shmwal_status found = {.size = sizeof found};
    SUPPORT_OK(shmwal_get_status(support_log, &found));
    return found;
}

START_TEST(status_names_nobody_where_the_ring_does_not)
{
    struct attachment *claim = holder_entry(&holder, view.control);
    ck_assert_int_eq(status().oldest_pid, holder.pid);
    uint64_t id = atomic_exchange(&claim->id, 0);
    ck_assert_int_eq(status().oldest_pid, -1);
    ck_assert_int_eq(status().oldest_inner_pid, 0);
    atomic_store(&claim->id, id);
    int32_t pid = atomic_exchange(&claim->pid, 0);
    ck_assert_int_eq(status().oldest_pid, -1);
    atomic_store(&claim->pid, pid);
    holder_finish(&holder);
}
END_TEST

START_TEST(status_names_nobody_of_two_that_claim_the_same)
{
    struct holder other = holder_start(log_);
    struct attachment *claim = holder_entry(&holder, view.control);
    struct attachment *same = holder_entry(&other, view.control);
    atomic_fetch_add(&claim->pid_namespace, 1);
    atomic_fetch_add(&same->pid_namespace, 1);
    atomic_store(&same->address, atomic_load(&claim->address));
    atomic_store(&same->pid, holder.pid);
    ck_assert_int_eq(status().oldest_pid, -1);
    ck_assert_int_eq(status().oldest_inner_pid, holder.pid);
    holder_finish(&holder);
    holder_finish(&other);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fence_late");
    TCase *cases = tcase_create("fence_late");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, owner_that_commits_while_it_is_looked_for_is_left_alone);
    tcase_add_test(cases, caller_that_commits_meanwhile_is_no_error);
    tcase_add_test(cases, owner_that_may_not_be_killed_is_told);
    tcase_add_test(cases, owner_that_dies_just_before_it_is_killed_is_as_good);
    tcase_add_test(cases, owner_that_does_not_end_is_told);
    tcase_add_test(cases, owner_that_cannot_be_looked_for_is_left_alone);
    tcase_add_test(cases, age_is_the_flushers_only_for_the_same_reservation);
    tcase_add_test(cases, filler_is_not_waited_for_where_the_flusher_is_frozen);
    tcase_add_test(cases, log_without_its_lock_file_is_fenced_all_the_same);
    tcase_add_test(cases, log_without_a_ring_has_nothing_to_fence);
    tcase_add_test(cases, flusher_is_known_by_its_pid_and_namespace);
    tcase_add_test(cases, status_names_nobody_where_the_ring_does_not);
    tcase_add_test(cases, status_names_nobody_of_two_that_claim_the_same);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
