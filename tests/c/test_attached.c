/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_openat,--wrap=sys_fstat,--wrap=sys_mkdirat,--wrap=sys_renameat
 * LDFLAGS: -Wl,--wrap=sys_unlinkat,--wrap=sys_touch,--wrap=sys_pread_full,--wrap=sys_pwrite_full
 * LDFLAGS: -Wl,--wrap=sys_fdatasync,--wrap=sys_fsync,--wrap=sys_allocate,--wrap=sys_punch
 * LDFLAGS: -Wl,--wrap=sys_list,--wrap=sys_lock_wait,--wrap=sys_lock_try,--wrap=sys_lock_held
 * LDFLAGS: -Wl,--wrap=sys_fork_private,--wrap=sys_process_open,--wrap=sys_process_kill
 * LDFLAGS: -Wl,--wrap=sys_process_await_end
 *
 * Every call of the seam fails, at each place where it is made, under those who use a log through
 * its ring: they say what failed, leak nothing, take nobody for dead who lives, lose nothing. */
#include "flusher/flusher.h"
#include "holder.h"
#include "seam.h"

static struct holder holder;
static unsigned appended; /* records, the holder's not among them */

static shmwal_options options(void)
{
    return support_options(SHMWAL_NO_FLUSHER);
}

static void setup(void)
{
    shmwal_options small = options();
    support_setup();
    SUPPORT_OK(shmwal_create(support_log, &small));
    appended = 0;
}

/* ---- What is done ---- */

static int append(shmwal *log)
{
    int error = shmwal_append(log, "x", 1, NULL);
    appended += error == 0;
    return error;
}

static int attach_and_append(void)
{
    shmwal *log;
    shmwal_options small = options();
    int error = shmwal_open(support_log, &small, &log);
    if (error < 0)
        return error;
    error = append(log);
    shmwal_close(log);
    return error;
}

/* Nothing is left in the ring, so that it is made and removed each time. */
static int attach_and_leave(void)
{
    shmwal *log;
    shmwal_options small = options();
    int error = shmwal_open(support_log, &small, &log);
    if (error == 0)
        shmwal_close(log);
    return error;
}

static int make_another(void)
{
    static unsigned number;
    char path[128];
    shmwal_options small = options();
    snprintf(path, sizeof path, "%s/other%u", support_directory, number++);
    return shmwal_create(path, &small);
}

static int read_all(void)
{
    shmwal_reader *reader;
    shmwal_record record;
    int got = shmwal_reader_open(support_log, 0, &reader);
    if (got < 0)
        return got;
    while ((got = shmwal_reader_next(reader, &record)) == 1)
        continue;
    shmwal_reader_close(reader);
    return got;
}

static int look(void)
{
    shmwal_status status = {.size = sizeof status};
    shmwal_verification found = {.size = sizeof found};
    int error = shmwal_get_status(support_log, &status);
    return error < 0 ? error : shmwal_verify(support_log, &found, NULL, NULL);
}

static int look_for_the_holder(void)
{
    shmwal_fencing fencing = {.size = sizeof fencing};
    int error = shmwal_fence(support_log, SHMWAL_FENCE_LOOK, 0, 0, &fencing);
    if (error == 0 && seam.struck == 0)
        ck_assert_int_eq(fencing.pid, holder.pid);
    bool unseen = error == -ENOENT || error == -ESRCH || error == -EACCES;
    return unseen && seam.struck > 0 ? 0 : error; /* what cannot be opened in /proc is not there */
}

static int take_over(void)
{
    struct flusher flusher;
    int error = flusher_open(&flusher, support_log, false);
    if (error == 0)
        flusher_close(&flusher);
    return error;
}

/* Nobody serves, though the lock says so: it has no time. And without the ring it has no way. */
static int ask_to_stop(void)
{
    int error = shmwal_stop(support_log, 0);
    return error == -ETIMEDOUT || (error == -EACCES && seam.struck > 0) ? 0 : error;
}

/* ---- What must hold ---- */

static void expect_error(int error, int call)
{
    if (error == 0)
        return;
    ck_assert_msg(error == -EIO, "%s, call %d: %d, %s", seam.name, call, error, shmwal_error());
    ck_assert_msg(strlen(shmwal_error()) > 20, "%s, call %d: no sentence", seam.name, call);
}

static void fail_each_call(int (*use)(void))
{
    SUPPORT_OK(use());
    unsigned files = seam_open_files();
    for (int call = 0, more = 1; more; call++) {
        seam_arm(call, 1, EIO, NULL);
        int error = use();
        more = seam.struck > 0;
        seam_disarm();
        expect_error(error, call);
        ck_assert_msg(seam_open_files() == files, "%s, call %d: a file stays open", seam.name,
                      call);
        SUPPORT_OK(use());
    }
}

static void expect_records(unsigned expected)
{
    shmwal_reader *reader;
    shmwal_record record;
    unsigned found = 0;
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    while (shmwal_reader_next(reader, &record) == 1)
        found++;
    SUPPORT_OK(shmwal_reader_close(reader));
    ck_assert_uint_eq(found, expected);
}

/* ---- With nobody attached: rings are made and removed ---- */

static int (*const alone[])(void) = {attach_and_append, attach_and_leave, make_another, look,
                                     take_over};
enum { ALONE = sizeof alone / sizeof *alone };

START_TEST(log_without_a_ring_survives_the_failure_of_any_call)
{
    fail_each_call(alone[_i]);
    shmwal *log = support_open(0);
    SUPPORT_OK(shmwal_wait(log, shmwal_reserved_lsn(log), SHMWAL_DURABLE, 60 * SECONDS));
    shmwal_close(log);
    expect_records(appended);
}
END_TEST

/* ---- With a ring that somebody holds up ---- */

static int (*const together[])(void) = {attach_and_append, read_all, look, take_over,
                                        look_for_the_holder};
enum { TOGETHER = sizeof together / sizeof *together };

START_TEST(log_with_a_ring_survives_the_failure_of_any_call)
{
    shmwal *log = support_open(SHMWAL_NO_FLUSHER);
    SUPPORT_OK(append(log));
    holder = holder_start(log);
    fail_each_call(together[_i]);
    ck_assert(holder_is_alive(&holder));
    shmwal *served = support_open(0);
    shmwal_close(log);
    holder_finish(&holder);
    SUPPORT_OK(shmwal_wait(served, shmwal_reserved_lsn(served), SHMWAL_DURABLE, 60 * SECONDS));
    shmwal_close(served);
    expect_records(appended + 1);
}
END_TEST

/* The flusher's place is taken, and nobody writes. */
START_TEST(stop_survives_the_failure_of_any_call)
{
    struct flusher flusher;
    SUPPORT_OK(flusher_open(&flusher, support_log, false));
    fail_each_call(ask_to_stop);
    flusher_close(&flusher);
}
END_TEST

/* ---- In a forked child, which attaches anew ---- */

static shmwal *log_;
static shmwal_slot slot;

static int append_one(void)
{
    return shmwal_append(log_, "x", 1, NULL);
}

static int append_batch(void)
{
    static const uint32_t length = 1;
    return shmwal_append_batch(log_, "x", &length, NULL, 1, 0, NULL, NULL);
}

static int reserve(void)
{
    return shmwal_reserve(log_, 1, &slot);
}

static int commit(void)
{
    return shmwal_commit(log_, &slot, NULL);
}

static int wait_for_it(void)
{
    return shmwal_wait(log_, 64, SHMWAL_DURABLE, 0);
}

/* These have no way to say what failed. */
static int ask_lsn(void)
{
    return shmwal_lsn(log_, SHMWAL_COMMITTED) == 0 ? -EIO : 0;
}

static int ask_reserved_lsn(void)
{
    return shmwal_reserved_lsn(log_) == 0 ? -EIO : 0;
}

static int (*const acts[])(void) = {append_one,  append_batch, reserve,         commit,
                                    wait_for_it, ask_lsn,      ask_reserved_lsn};
enum { ACTS = sizeof acts / sizeof *acts };

START_TEST(forked_child_that_cannot_attach_says_so_and_may_try_again)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    SUPPORT_OK(append(log_));
    SUPPORT_OK(reserve());
    pid_t child = fork();
    if (child == 0) {
        seam_arm(0, 1, EIO, "sys_lock_wait");
        int error = acts[_i]();
        seam_disarm();
        if (seam.struck != 1 || error != -EIO)
            _exit(1);
        _exit(append_one() == 0 ? 0 : 2);
    }
    ck_assert_int_eq(support_wait(child), 0);
    SUPPORT_OK(commit());
    SUPPORT_OK(shmwal_close(log_));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("attached");
    TCase *cases = tcase_create("attached");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, support_teardown);
    tcase_add_loop_test(cases, log_without_a_ring_survives_the_failure_of_any_call, 0, ALONE);
    tcase_add_loop_test(cases, log_with_a_ring_survives_the_failure_of_any_call, 0, TOGETHER);
    tcase_add_test(cases, stop_survives_the_failure_of_any_call);
    tcase_add_loop_test(cases, forked_child_that_cannot_attach_says_so_and_may_try_again, 0, ACTS);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
