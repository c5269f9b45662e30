/* SPDX-License-Identifier: MIT
 *
 * Waiting for any of several targets: of two logs, one of which fares ill. */
#include "support.h"

#include "region/layout.h"
#include "region/view.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static shmwal *log_, *other; /* `other` in DIRECTORY/other */
static char other_path[96];
static struct directory directory;
static struct region_view view; /* of `log_` */

static void setup(void)
{
    shmwal_options options = support_options(0);
    support_setup();
    snprintf(other_path, sizeof other_path, "%s/other", support_directory);
    log_ = support_open(0);
    SUPPORT_OK(shmwal_open(other_path, &options, &other));
    SUPPORT_OK(directory_open(support_log, false, &directory));
    SUPPORT_OK(region_view_open(&directory, &view));
}

static void teardown(void)
{
    region_view_close(&view);
    directory_close(&directory);
    shmwal_close(log_);
    shmwal_close(other);
    SUPPORT_OK(shmwal_stop(other_path, 30 * SECONDS));
    support_teardown();
}

static shmwal_target durable(shmwal *log, uint64_t lsn)
{
    return (shmwal_target){.log = log, .lsn = lsn, .level = SHMWAL_DURABLE};
}

/* What an append just behind would have. */
static shmwal_target appended(shmwal *log)
{
    shmwal_target target = durable(log, 0);
    SUPPORT_OK(shmwal_append(log, "x", 1, &target.lsn));
    return target;
}

static int wait_any(shmwal_target *targets, size_t count)
{
    return shmwal_wait_any(targets, count, 60 * SECONDS, NULL, 0);
}

static pid_t flusher(void)
{
    return atomic_load(&view.state->pid);
}

/* `other` is served although the first target never will be. */
static void check_other_goes_on(shmwal_target *targets)
{
    for (int i = 0; i < 20; i++) {
        targets[1] = appended(other);
        ck_assert_int_eq(wait_any(targets, 2), 1);
        ck_assert_int_eq(targets[0].result, -EINPROGRESS);
        ck_assert_int_eq(targets[1].result, 0);
    }
}

START_TEST(a_log_whose_flusher_hangs_does_not_hold_up_the_other)
{
    kill(flusher(), SIGSTOP);
    shmwal_target targets[2] = {appended(log_)};
    check_other_goes_on(targets);
    kill(flusher(), SIGCONT);
    ck_assert_int_eq(wait_any(targets, 1), 1);
    ck_assert_int_eq(targets[0].result, 0);
}
END_TEST

START_TEST(a_log_whose_flusher_was_killed_gets_another_while_the_other_is_busy)
{
    SUPPORT_OK(shmwal_wait(log_, appended(log_).lsn, SHMWAL_DURABLE, 60 * SECONDS));
    kill(flusher(), SIGKILL);
    shmwal_target targets[2] = {appended(log_)};
    do { /* many waits, each shorter than the time after which a flusher is looked at */
        targets[1] = appended(other);
        ck_assert_int_ge(wait_any(targets, 2), 1);
    } while (targets[0].result == -EINPROGRESS);
    ck_assert_int_eq(targets[0].result, 0);
}
END_TEST

START_TEST(a_flusher_that_died_is_told_if_none_is_to_be_started)
{
    SUPPORT_OK(shmwal_wait(log_, appended(log_).lsn, SHMWAL_DURABLE, 60 * SECONDS));
    kill(flusher(), SIGKILL);
    shmwal_target target = appended(log_);
    target.flags = SHMWAL_NO_START;
    ck_assert_int_eq(wait_any(&target, 1), 1);
    ck_assert_int_eq(target.result, -EOWNERDEAD);
    SUPPORT_OK(shmwal_wait(log_, target.lsn, SHMWAL_DURABLE, 60 * SECONDS));
    ck_assert_int_eq(wait_any(&target, 1), 1);
    ck_assert_int_eq(target.result, 0);
}
END_TEST

/* A reservation that stays open keeps a flusher that is told to stop from reaching anything. */
START_TEST(a_stop_reaches_the_targets_of_its_log_alone)
{
    shmwal_slot slot;
    SUPPORT_OK(shmwal_reserve(log_, 8, &slot));
    shmwal_target targets[2] = {appended(log_)};
    check_other_goes_on(targets);
    ck_assert_int_eq(shmwal_stop(support_log, 1), -ETIMEDOUT);
    targets[1].lsn = appended(other).lsn;
    while (wait_any(targets, 1) == 0)
        continue;
    ck_assert_int_eq(targets[0].result, -ESHUTDOWN);
    ck_assert_int_eq(wait_any(targets + 1, 1), 1);
    ck_assert_int_eq(targets[1].result, 0);
    SUPPORT_OK(shmwal_discard(log_, &slot));
}
END_TEST

/* ---- The word ---- */

static uint32_t word;

static void *wake(void *unused)
{
    shmwal_wake(&word);
    return unused;
}

/* Whether it comes before the wait has begun to sleep or after. */
static void check_word(void)
{
    kill(flusher(), SIGSTOP);
    shmwal_target targets[2] = {appended(log_), durable(other, UINT64_MAX)};
    targets[1].flags = SHMWAL_AHEAD;
    for (size_t count = 0; count <= 2; count++)
        for (int i = 0; i < 50; i++) {
            pthread_t thread;
            uint32_t seen = word;
            ck_assert_int_eq(pthread_create(&thread, NULL, wake, NULL), 0);
            ck_assert_int_eq(shmwal_wait_any(targets, count, -1, &word, seen), 0);
            pthread_join(thread, NULL);
            ck_assert_int_eq(shmwal_wait_any(targets, count, -1, &word, seen), 0);
        }
    kill(flusher(), SIGCONT);
}

START_TEST(a_wake_ends_the_wait_or_the_next)
{
    check_word();
}
END_TEST

/* ---- What the kernel does not take ---- */

static void refuse_futex_waitv(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0 /* the call's number */),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex_waitv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = filter};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    ck_assert_int_eq(syscall(SYS_futex_waitv, NULL, 0, 0, NULL, 0), -1);
    ck_assert(errno == EPERM || errno == ENOSYS); /* valgrind does not even know the call */
}

START_TEST(a_call_that_is_refused_is_done_without)
{
    refuse_futex_waitv();
    check_word();
    kill(flusher(), SIGSTOP);
    shmwal_target targets[2] = {appended(log_)};
    check_other_goes_on(targets);
    kill(flusher(), SIGCONT);
    ck_assert_int_eq(wait_any(targets, 1), 1);
    ck_assert_int_eq(targets[0].result, 0);
}
END_TEST

START_TEST(more_targets_than_the_kernel_takes)
{
    enum { MANY = 300 };
    static shmwal_target targets[MANY];
    kill(flusher(), SIGSTOP);
    for (int i = 0; i < MANY; i++)
        targets[i] = appended(log_);
    targets[MANY - 1] = appended(other);
    ck_assert_int_eq(wait_any(targets, MANY), 1);
    ck_assert_int_eq(targets[MANY - 1].result, 0);
    kill(flusher(), SIGCONT);
    for (int settled = 1; settled < MANY;) {
        int got = wait_any(targets, MANY - 1);
        ck_assert_int_gt(got, 0);
        settled = got + 1;
    }
}
END_TEST

/* ---- Levels, ends, forks ---- */

START_TEST(levels_may_be_mixed)
{
    shmwal_slot slot;
    SUPPORT_OK(shmwal_reserve(log_, 8, &slot));
    shmwal_target targets[2] = {appended(log_), appended(log_)};
    targets[1].level = SHMWAL_COMMITTED;
    ck_assert_int_eq(shmwal_wait_any(targets, 2, 1000000, NULL, 0), -ETIMEDOUT);
    SUPPORT_OK(shmwal_commit(log_, &slot, NULL));
    ck_assert_int_ge(wait_any(targets, 2), 1);
    ck_assert_int_eq(targets[1].result, 0);
    ck_assert_int_eq(wait_any(targets, 1), 1);
    ck_assert_int_eq(targets[0].result, 0);
}
END_TEST

static void *append_to_other(void *unused)
{
    appended(other);
    return unused;
}

START_TEST(what_nobody_has_appended_yet_is_waited_for_ahead)
{
    pthread_t thread;
    shmwal_target target = durable(other, shmwal_reserved_lsn(other) + 1);
    ck_assert_int_eq(wait_any(&target, 1), 1);
    ck_assert_int_eq(target.result, -EINVAL);
    target.flags = SHMWAL_AHEAD;
    ck_assert_int_eq(shmwal_wait_any(&target, 1, 0, NULL, 0), -ETIMEDOUT);
    ck_assert_int_eq(pthread_create(&thread, NULL, append_to_other, NULL), 0);
    ck_assert_int_eq(wait_any(&target, 1), 1);
    ck_assert_int_eq(target.result, 0);
    pthread_join(thread, NULL);
}
END_TEST

/* An LSN within a record is served by the commit that brings the record's end. */
START_TEST(an_lsn_between_two_is_woken_with_the_greater)
{
    kill(flusher(), SIGSTOP);
    uint64_t lsn = appended(log_).lsn;
    memset(view.control->shard_wanted, 0, sizeof view.control->shard_wanted);
    ck_assert_int_eq(shmwal_wait(log_, lsn - 1, SHMWAL_DURABLE, 1000000), -ETIMEDOUT);
    ck_assert_uint_eq(view.control->shard_wanted[lsn / FORMAT_UNIT % WAIT_SHARDS], 1);
    kill(flusher(), SIGCONT);
}
END_TEST

START_TEST(forked_child_waits_for_its_parents_logs)
{
    shmwal_target targets[2] = {durable(other, UINT64_MAX), appended(log_)};
    targets[0].flags = SHMWAL_AHEAD;
    pid_t child = fork();
    if (child == 0) {
        targets[1] = appended(log_);
        _exit(wait_any(targets, 2) == 1 && targets[1].result == 0 ? 0 : 1);
    }
    ck_assert_int_eq(support_wait(child), 0);
    ck_assert_int_eq(wait_any(targets, 2), 1);
    ck_assert_int_eq(targets[1].result, 0);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused)
{
    shmwal_target targets[4] = {durable(NULL, 0), durable(log_, 0), durable(log_, 0),
                                durable(log_, 0)};
    targets[1].level = SHMWAL_REPLICATED;
    targets[2].flags = 1u << 9;
    ck_assert_int_eq(wait_any(targets, 4), 4);
    ck_assert_int_eq(targets[0].result, -EINVAL);
    ck_assert_int_eq(targets[1].result, -ENOTSUP);
    ck_assert_int_eq(targets[2].result, -EINVAL);
    ck_assert_int_eq(targets[3].result, 0);
    targets[3].level = SHMWAL_COMMITTED;
    targets[3].flags = SHMWAL_AHEAD;
    ck_assert_int_eq(wait_any(targets + 3, 1), 1);
    ck_assert_int_eq(targets[3].result, -EINVAL);
    ck_assert_int_eq(wait_any(targets, 0), -EINVAL);
    ck_assert_int_eq(wait_any(NULL, 1), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("wait");
    TCase *cases = tcase_create("wait");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, a_log_whose_flusher_hangs_does_not_hold_up_the_other);
    tcase_add_test(cases, a_log_whose_flusher_was_killed_gets_another_while_the_other_is_busy);
    tcase_add_test(cases, a_flusher_that_died_is_told_if_none_is_to_be_started);
    tcase_add_test(cases, a_stop_reaches_the_targets_of_its_log_alone);
    tcase_add_test(cases, a_wake_ends_the_wait_or_the_next);
    tcase_add_test(cases, a_call_that_is_refused_is_done_without);
    tcase_add_test(cases, more_targets_than_the_kernel_takes);
    tcase_add_test(cases, levels_may_be_mixed);
    tcase_add_test(cases, what_nobody_has_appended_yet_is_waited_for_ahead);
    tcase_add_test(cases, an_lsn_between_two_is_woken_with_the_greater);
    tcase_add_test(cases, forked_child_waits_for_its_parents_logs);
    tcase_add_test(cases, what_makes_no_sense_is_refused);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
