/* SPDX-License-Identifier: MIT
 *
 * Signals and cancellation in the middle of every call: handlers that append or jump out, a storm
 * of them, processes that are stopped, go on, or end at once. include/shmwal.h says what holds. */
#include "support.h"

#include "region/layout.h"
#include "region/view.h"
#include "sys/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>

enum { STORM_US = 1000, ENOUGH = 200 };

static shmwal *log_;

static void setup(void)
{
    support_setup();
    log_ = support_open(0);
}

static void teardown(void)
{
    shmwal_close(log_);
    log_ = NULL;
    support_teardown();
}

__attribute__((noinline)) static int open_descriptors(void) /* by who has called sigsetjmp too */
{
    int open = 0;
    for (int fd = 0; fd < 1024; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    return open;
}

/* Nothing stays locked, and what was left open is given up with the handle. */
__attribute__((noinline)) static void expect_log_of_use(void)
{
    shmwal_close(log_);
    log_ = support_open(0);
    SUPPORT_OK(shmwal_append(log_, "afterwards", 10, NULL));
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("afterwards"), 1);
}

/* ---- Handlers that append ---- */

static volatile sig_atomic_t handled, appended;

static void on_signal_append(int number)
{
    int saved = errno;
    (void)number;
    int error = shmwal_append_for(log_, "handler", 7, SHMWAL_BYTES, 0, NULL);
    if (error != 0 && error != -EAGAIN && error != -ESHUTDOWN)
        abort();
    appended += error == 0;
    handled++;
    errno = saved;
}

static void set_handler(int number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler}; /* no SA_RESTART: calls see EINTR */
    sigaction(number, &action, NULL);
}

static void set_timer(long first_us, long every_us)
{
    struct itimerval timer = {.it_value.tv_usec = first_us, .it_interval.tv_usec = every_us};
    setitimer(ITIMER_REAL, &timer, NULL); /* unchecked: to jump out of a check leaves its lock */
}

static void storm_begin(void)
{
    handled = appended = 0;
    set_handler(SIGALRM, on_signal_append);
    set_timer(STORM_US, STORM_US);
}

static void storm_end(void)
{
    set_timer(0, 0);
}

START_TEST(handlers_append_in_the_middle_of_appends)
{
    uint64_t own = 0;
    storm_begin();
    for (; handled < ENOUGH; own++)
        SUPPORT_OK(shmwal_append(log_, "main", 4, NULL));
    storm_end();
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("main"), own);
    ck_assert_uint_eq(support_count("handler"), (uint64_t)appended);
    ck_assert_int_gt(appended, 0);
}
END_TEST

/* Each call is interrupted somewhere: opening and closing, a wait, reading, a look at the log. */
START_TEST(every_call_goes_on_in_a_storm_of_signals)
{
    uint64_t rounds = 0, lsn;
    storm_begin();
    for (; handled < ENOUGH || rounds < 5; rounds++) {
        shmwal *other = support_open(0);
        shmwal_status status = {.size = sizeof status};
        SUPPORT_OK(shmwal_append(other, "other", 5, &lsn));
        SUPPORT_OK(shmwal_wait(other, lsn, SHMWAL_DURABLE, 300 * SECONDS));
        SUPPORT_OK(shmwal_close(other));
        SUPPORT_OK(shmwal_get_status(support_log, &status));
        ck_assert_uint_eq(support_count("other"), rounds + 1);
    }
    storm_end();
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("handler"), (uint64_t)appended);
}
END_TEST

/* By a process that is interrupted all the time, also in what makes the flusher's process. */
START_TEST(flusher_is_stopped_and_started_in_a_storm_of_signals)
{
    storm_begin();
    for (int i = 0; i < 5; i++) {
        SUPPORT_OK(shmwal_stop(support_log, 300 * SECONDS));
        SUPPORT_OK(shmwal_close(support_open(0)));
    }
    storm_end();
    ck_assert_int_gt(handled, 0);
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("handler"), (uint64_t)appended);
}
END_TEST

static void fill_the_ring(void)
{
    static const char big[4096];
    while (shmwal_append_for(log_, big, sizeof big, SHMWAL_BYTES, 0, NULL) == 0)
        continue;
}

START_TEST(deadlines_hold_in_a_storm_of_signals)
{
    shmwal_slot slot;
    uint64_t lsn;
    static const char big[4096];
    int64_t timeout = 50 * STORM_US * INT64_C(1000), begin;
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    SUPPORT_OK(shmwal_append(log_, "behind", 6, &lsn));
    fill_the_ring();
    storm_begin();
    begin = clock_monotonic_ns();
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, timeout), -ETIMEDOUT);
    ck_assert_int_ge(clock_monotonic_ns() - begin, timeout);
    begin = clock_monotonic_ns();
    ck_assert_int_eq(shmwal_append_for(log_, big, sizeof big, SHMWAL_BYTES, timeout, NULL),
                     -ETIMEDOUT);
    ck_assert_int_ge(clock_monotonic_ns() - begin, timeout);
    storm_end();
    ck_assert_int_gt(handled, 0);
    SUPPORT_OK(shmwal_discard(log_, &slot));
    support_wait_for_all(log_);
}
END_TEST

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define STEPS_ITSELF 1
/* The processor's trap flag: a SIGTRAP after each instruction. It is clear within the handler. */
enum { TRAP_FLAG = 0x100 };

static volatile sig_atomic_t traps, append_at;

/* Not at each in one go: that would move the ring's tail between any look at it and its change. */
static void on_trap(int number)
{
    if (++traps == append_at)
        on_signal_append(number);
}

START_TEST(handler_appends_at_any_instruction_of_an_append)
{
    uint64_t own = 0;
    handled = appended = 0;
    set_handler(SIGTRAP, on_trap);
    do {
        traps = 0;
        append_at++;
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRAP_FLAG);
        int error = shmwal_append(log_, "main", 4, NULL);
        __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(uint64_t)TRAP_FLAG);
        SUPPORT_OK(error);
        own++;
    } while (traps >= append_at);
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("main"), own);
    ck_assert_uint_eq(support_count("handler"), (uint64_t)appended);
    ck_assert_int_gt(appended, 50); /* an append has more instructions than that */
}
END_TEST
#endif

/* ---- Handlers that jump out ---- */

static sigjmp_buf out;

static void on_signal_jump(int number)
{
    (void)number;
    siglongjmp(out, 1);
}

/* What is waited for never comes, so each of these waits ends by a jump, wherever it is then: it
 * sleeps, or looks whether a flusher serves. */
START_TEST(jump_out_of_a_wait_leaves_nothing)
{
    shmwal_slot slot;
    uint64_t lsn;
    volatile int jumps = 0;
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    SUPPORT_OK(shmwal_append(log_, "behind", 6, &lsn));
    set_handler(SIGALRM, on_signal_jump);
    int before = open_descriptors();
    if (sigsetjmp(out, 1) != 0)
        jumps++;
    if (jumps < 20) {
        set_timer(1 + 7000L * jumps, 0);
        shmwal_wait(log_, lsn, SHMWAL_DURABLE, -1);
        ck_abort_msg("it was reached: %s", shmwal_error());
    }
    ck_assert_int_eq(open_descriptors(), before);
    SUPPORT_OK(shmwal_discard(log_, &slot));
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("behind"), 1);
}
END_TEST

/* It may leave a reservation open: closing the handle gives that up. */
START_TEST(jump_out_of_an_append_is_mended_by_closing)
{
    shmwal_verification found = {.size = sizeof found};
    volatile int jumps = 0;
    set_handler(SIGALRM, on_signal_jump);
    if (sigsetjmp(out, 1) != 0)
        jumps++;
    if (jumps < 100) {
        set_timer(100 + 3L * jumps, 0);
        for (;;)
            (void)shmwal_append_for(log_, "whole", 5, SHMWAL_BYTES, 0, NULL);
    }
    expect_log_of_use();
    SUPPORT_OK(shmwal_verify(support_log, &found, NULL, NULL));
    ck_assert_int_eq(found.damaged, 0);
    ck_assert_uint_eq(support_count("whole") + 1, found.records);
}
END_TEST

/* ---- Cancellation ---- */

static shmwal_slot held; /* open, so that nothing behind it becomes durable, nor the ring empty */

static int call_append(void)
{
    return shmwal_append(log_, "x", 1, NULL);
}

static int call_append_batch(void)
{
    uint32_t length = 1;
    return shmwal_append_batch(log_, "x", &length, NULL, 1, 0, NULL, NULL);
}

static int call_reserve(void)
{
    shmwal_slot slot;
    int error = shmwal_reserve(log_, 1, &slot);
    return error < 0 ? error : shmwal_discard(log_, &slot);
}

static int call_commit(void)
{
    shmwal_slot slot;
    int error = shmwal_reserve(log_, 1, &slot);
    return error < 0 ? error : shmwal_commit(log_, &slot, NULL);
}

static int call_open(void)
{
    shmwal *other;
    shmwal_options options = support_options(0);
    int error = shmwal_open(support_log, &options, &other);
    return error < 0 ? error : shmwal_close(other);
}

static int call_create(void)
{
    return shmwal_create(support_log, NULL);
}

static int call_lsn(void)
{
    return shmwal_lsn(log_, SHMWAL_COMMITTED) <= shmwal_reserved_lsn(log_) ? 0 : -EINVAL;
}

static int call_read(void)
{
    shmwal_reader *reader;
    shmwal_record record;
    int error = shmwal_reader_open(support_log, 0, &reader);
    if (error < 0)
        return error;
    while (error == 0 && shmwal_reader_next(reader, &record) == 1)
        continue;
    int late = shmwal_reader_wait(reader, 1000);
    error = shmwal_reader_close(reader);
    return late == -ETIMEDOUT || late == 0 ? error : late;
}

static int call_status(void)
{
    shmwal_status status = {.size = sizeof status};
    return shmwal_get_status(support_log, &status);
}

static int call_verify(void)
{
    shmwal_verification found = {.size = sizeof found};
    return shmwal_verify(support_log, &found, NULL, NULL);
}

static int call_fence(void)
{
    shmwal_fencing found = {.size = sizeof found};
    int error = shmwal_fence(support_log, SHMWAL_FENCE_LOOK, SECONDS / 50, 0, &found);
    return error == -EDEADLK ? 0 : error; /* it is this process that holds it */
}

static int call_stop(void)
{
    int error = shmwal_stop(support_log, SECONDS / 100);
    return error == -ETIMEDOUT ? 0 : error;
}

static int (*const uncancelled[])(void) = {
    call_append, call_append_batch, call_reserve, call_commit, call_open,  call_create,
    call_lsn,    call_read,         call_status,  call_verify, call_fence, call_stop,
};
enum { UNCANCELLED = sizeof uncancelled / sizeof *uncancelled };

static int call_wait(void)
{
    return shmwal_wait(log_, shmwal_reserved_lsn(log_), SHMWAL_DURABLE, -1);
}

static int call_wait_any(void)
{
    shmwal_target target = {.log = log_, .lsn = shmwal_reserved_lsn(log_), .level = SHMWAL_DURABLE};
    return shmwal_wait_any(&target, 1, -1, NULL, 0);
}

static int call_append_when_full(void)
{
    fill_the_ring();
    static const char big[4096];
    return shmwal_append_for(log_, big, sizeof big, SHMWAL_BYTES, -1, NULL);
}

static int (*const cancelled[])(void) = {call_wait, call_wait_any, call_append_when_full};
enum { CANCELLED = sizeof cancelled / sizeof *cancelled };

static int returned; /* what the call returned; 1 before */

static void *call_when_cancelled(void *call)
{
    pthread_cancel(pthread_self()); /* acts at the first cancellation point */
    returned = (*(int (*const *)(void))call)();
    pthread_testcancel();
    return NULL;
}

static void run_cancelled(int (*const *call)(void))
{
    pthread_t thread;
    void *result;
    returned = 1;
    ck_assert_int_eq(pthread_create(&thread, NULL, call_when_cancelled, (void *)call), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}

START_TEST(call_that_is_no_cancellation_point_comes_to_its_end)
{
    SUPPORT_OK(shmwal_reserve(log_, 1, &held));
    int before = open_descriptors();
    run_cancelled(&uncancelled[_i]);
    ck_assert_msg(returned <= 0, "it was cancelled within");
    ck_assert_msg(returned == 0, "%d", returned);
    ck_assert_int_eq(open_descriptors(), before);
    expect_log_of_use();
}
END_TEST

START_TEST(call_that_waits_is_cancelled_with_nothing_held)
{
    SUPPORT_OK(shmwal_reserve(log_, 1, &held));
    SUPPORT_OK(shmwal_append(log_, "behind", 6, NULL));
    int before = open_descriptors();
    run_cancelled(&cancelled[_i]);
    ck_assert_int_eq(returned, 1);
    ck_assert_int_eq(open_descriptors(), before);
    SUPPORT_OK(shmwal_discard(log_, &held));
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("behind"), 1);
}
END_TEST

static _Atomic int begun;

#ifndef __SANITIZE_THREAD__ /* whose runtime takes locks of its own in the middle of everything */
static void *call_all_the_time(void *unused)
{
    int before;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
    atomic_store(&begun, 1);
    for (;;) {
        call_append();
        shmwal_wait(log_, shmwal_reserved_lsn(log_), SHMWAL_DURABLE, SECONDS / 1000);
        call_append_batch();
        call_status();
        call_verify();
    }
    return unused;
}

START_TEST(asynchronous_cancellation_leaves_no_lock_and_no_descriptor)
{
    int before = open_descriptors();
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        atomic_store(&begun, 0);
        pthread_create(&thread, NULL, call_all_the_time, NULL);
        while (!atomic_load(&begun))
            sched_yield();
        int64_t until = clock_monotonic_ns() + i * INT64_C(20000);
        while (clock_monotonic_ns() < until)
            continue;
        ck_assert_int_eq(pthread_cancel(thread), 0);
        /* Some versions of glibc give NULL where pthread_setcancelstate() finds it cancelled. */
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
    }
    ck_assert_int_eq(open_descriptors(), before);
    expect_log_of_use();
}
END_TEST
#endif

/* ---- Processes that are stopped, go on, or end ---- */

static void append_numbers(int out_fd)
{
    for (uint64_t i = 1;; i++) {
        if (shmwal_append(log_, &i, sizeof i, NULL) < 0)
            _exit(1);
        if (i % 64 == 0 && write(out_fd, &i, sizeof i) != sizeof i) /* acknowledged so far */
            _exit(0);                                               /* nobody reads any more */
    }
}

static uint64_t last_number(void)
{
    shmwal_reader *reader;
    shmwal_record record;
    uint64_t last = 0, number;
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    while (shmwal_reader_next(reader, &record) == 1) {
        memcpy(&number, record.data, sizeof number);
        ck_assert_uint_eq(number, ++last);
    }
    SUPPORT_OK(shmwal_reader_close(reader));
    return last;
}

START_TEST(producer_and_flusher_that_are_stopped_and_go_on_lose_nothing)
{
    struct directory directory;
    struct region_view view;
    uint64_t told = 0;
    int ends[2];
    SUPPORT_OK(directory_open(support_log, false, &directory));
    SUPPORT_OK(region_view_open(&directory, &view));
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    signal(SIGPIPE, SIG_IGN);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        append_numbers(ends[1]);
    }
    close(ends[1]);
    pid_t processes[] = {child, atomic_load(&view.state->pid)};
    for (int i = 0; i < 200; i++) {
        kill(processes[i % 2], SIGSTOP);
        sched_yield();
        kill(processes[i % 2], SIGCONT);
        ck_assert_int_eq(read(ends[0], &told, sizeof told), sizeof told);
    }
    close(ends[0]);
    ck_assert_int_eq(support_wait(child), 0);
    support_wait_for_all(log_);
    ck_assert_uint_ge(last_number(), told);
    region_view_close(&view);
    directory_close(&directory);
}
END_TEST

static void *append_for_ever(void *unused)
{
    atomic_fetch_add(&begun, 1);
    for (;;)
        if (shmwal_append(log_, "thread", 6, NULL) < 0)
            abort();
    return unused;
}

static void end_by_exit(void)
{
    exit(0);
}

static void end_by_quick_exit(void)
{
    quick_exit(0);
}

static void end_by_underscore_exit(void)
{
    _exit(0);
}

static void end_by_signal(void)
{
    raise(SIGKILL);
}

static void end_in_the_middle(void (*end)(void))
{
    pid_t child = fork();
    if (child == 0) {
        pthread_t threads[2];
        atomic_store(&begun, 0);
        for (int i = 0; i < 2; i++)
            pthread_create(&threads[i], NULL, append_for_ever, NULL);
        while (atomic_load(&begun) < 2)
            sched_yield();
        end();
    }
    int status = support_wait(child);
    ck_assert_int_eq(status, end == end_by_signal ? -SIGKILL : 0);
}

START_TEST(process_that_ends_while_its_threads_append_holds_nobody_up)
{
    void (*const ends[])(void) = {end_by_exit, end_by_quick_exit, end_by_underscore_exit,
                                  end_by_signal};
    for (int i = 0; i < 40; i++) {
        end_in_the_middle(ends[i % 4]);
        SUPPORT_OK(shmwal_append(log_, "behind", 6, NULL));
    }
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("behind"), 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("signals");
    TCase *cases = tcase_create("signals");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, handlers_append_in_the_middle_of_appends);
    tcase_add_test(cases, every_call_goes_on_in_a_storm_of_signals);
    tcase_add_test(cases, flusher_is_stopped_and_started_in_a_storm_of_signals);
    tcase_add_test(cases, deadlines_hold_in_a_storm_of_signals);
#ifdef STEPS_ITSELF
    tcase_add_test(cases, handler_appends_at_any_instruction_of_an_append);
#endif
    tcase_add_test(cases, jump_out_of_a_wait_leaves_nothing);
    tcase_add_test(cases, jump_out_of_an_append_is_mended_by_closing);
    tcase_add_loop_test(cases, call_that_is_no_cancellation_point_comes_to_its_end, 0, UNCANCELLED);
    tcase_add_loop_test(cases, call_that_waits_is_cancelled_with_nothing_held, 0, CANCELLED);
#ifndef __SANITIZE_THREAD__
    tcase_add_test(cases, asynchronous_cancellation_leaves_no_lock_and_no_descriptor);
#endif
    tcase_add_test(cases, producer_and_flusher_that_are_stopped_and_go_on_lose_nothing);
    tcase_add_test(cases, process_that_ends_while_its_threads_append_holds_nobody_up);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
