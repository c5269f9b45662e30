/* SPDX-License-Identifier: MIT
 *
 * Somebody truncates a log's objects in /dev/shm under processes that use it: each of them gets an
 * error and none a SIGBUS, nothing is acknowledged that is lost, and what is durable stands.
 *
 * LDFLAGS: -Wl,--wrap=ring_finished_until */
#include "support.h"

#include "producer/handle.h"
#include "region/shm.h"
#include "region/view.h"
#include "sys/fork.h"
#include "sys/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

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

/* ---- What is cut, and how ------------------------------------------------------------------- */

static void cut_object(enum shm_object object, unsigned eighths)
{
    int fd = shm_object_open(&directory, object, true);
    struct stat status;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_eq(ftruncate(fd, status.st_size / 8 * eighths), 0);
    sys_fork_close(fd);
}

/* How much is left of the two: of seven eighths of a ring the headers are whole. */
static const struct cut {
    unsigned ring, state;
} cuts[] = {{0, 8}, {4, 8}, {7, 8}, {8, 0}, {0, 0}};
enum { CUTS = sizeof cuts / sizeof *cuts, RING_CUTS = 3 };

static void cut(int which)
{
    if (cuts[which].state < 8)
        cut_object(SHM_STATE, cuts[which].state);
    if (cuts[which].ring < 8)
        cut_object(SHM_RING, cuts[which].ring);
}

/* ---- What must hold ------------------------------------------------------------------------- */

static void expect_lost(int error)
{
    ck_assert_msg(error == -EIO, "%d: %s", error, shmwal_error());
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "was truncated in /dev/shm"));
    ck_assert_int_eq(shmwal_error_subject(), SHMWAL_ABOUT_RING);
}

/* Of a ring that is cut in the middle an append may hit the whole part. */
static int append_until_refused(void)
{
    int error = 0;
    for (int i = 0; i < 100000 && error == 0; i++)
        error = shmwal_append(log_, "perhaps", 7, NULL);
    return error;
}

static void append_durably(const char *text)
{
    uint64_t lsn;
    SUPPORT_OK(shmwal_append(log_, text, strlen(text), &lsn));
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS));
}

static uint64_t count(const char *text)
{
    shmwal_reader *reader;
    shmwal_record record;
    uint64_t records = 0;
    int got;
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    while ((got = shmwal_reader_next(reader, &record)) == 1)
        records += record.length == strlen(text) && memcmp(record.data, text, record.length) == 0;
    ck_assert_int_eq(got, 0);
    SUPPORT_OK(shmwal_reader_close(reader));
    return records;
}

/* What is left of the objects may have to be removed by hand, as the sentence says. The flusher
 * ends when it comes upon it. */
static void open_anew(void)
{
    shmwal_options options = support_options(0);
    int error;
    shmwal_close(log_);
    log_ = NULL;
    while ((error = shmwal_open(support_log, &options, &log_)) < 0) {
        bool cut_off = error == -EIO && strstr(shmwal_error(), "was truncated to") != NULL;
        ck_assert_msg(cut_off || error == -EBUSY, "%s", shmwal_error());
        if (cut_off)
            shm_remove(&directory);
        sched_yield();
    }
}

static void expect_log_of_use(void)
{
    open_anew();
    append_durably("behind");
    ck_assert_uint_eq(count("durable"), 1);
    ck_assert_uint_eq(count("behind"), 1);
}

/* ---- Appending ------------------------------------------------------------------------------ */

START_TEST(append_fails_and_nothing_durable_is_lost)
{
    append_durably("durable");
    cut(_i);
    expect_lost(append_until_refused());
    expect_lost(shmwal_append(log_, "again", 5, NULL));
    expect_log_of_use();
}
END_TEST

START_TEST(append_that_must_not_wait_says_why_as_well)
{
    append_durably("durable");
    cut_object(SHM_RING, 0);
    expect_lost(shmwal_append_for(log_, "never", 5, SHMWAL_BYTES, 0, NULL));
    expect_log_of_use();
}
END_TEST

START_TEST(batch_fails)
{
    static const uint32_t lengths[] = {5, 5};
    size_t appended = 0;
    append_durably("durable");
    cut_object(SHM_RING, 0);
    expect_lost(shmwal_append_batch(log_, "neverever", lengths, NULL, 2, -1, NULL, &appended));
    ck_assert_uint_eq(appended, 0);
    expect_log_of_use();
}
END_TEST

/* Its end lies in the ring's last eighth: the record's bytes go, and its header stays where others
 * see it. It must not be committed. */
START_TEST(open_reservation_cannot_be_committed)
{
    shmwal_slot slot;
    append_durably("durable");
    SUPPORT_OK(shmwal_reserve(log_, 30000, &slot));
    SUPPORT_OK(shmwal_discard(log_, &slot));
    SUPPORT_OK(shmwal_reserve(log_, 30000, &slot));
    cut(_i);
    memset(slot.data, 'x', slot.length);
    expect_lost(shmwal_commit(log_, &slot, NULL));
    expect_log_of_use();
}
END_TEST

START_TEST(open_reservation_cannot_be_discarded)
{
    shmwal_slot slot;
    append_durably("durable");
    SUPPORT_OK(shmwal_reserve(log_, 5, &slot));
    cut_object(SHM_RING, 0);
    expect_lost(shmwal_discard(log_, &slot));
    expect_lost(shmwal_reserve(log_, 5, &slot));
    expect_log_of_use();
}
END_TEST

static void *append_in_thread(void *error)
{
    do
        *(int *)error = shmwal_append(log_, "perhaps", 7, NULL);
    while (*(int *)error == 0);
    return NULL;
}

START_TEST(threads_that_append_all_fail)
{
    pthread_t threads[3];
    int errors[3];
    append_durably("durable");
    uint64_t before = shmwal_lsn(log_, SHMWAL_DURABLE);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, append_in_thread, &errors[i]), 0);
    while (shmwal_lsn(log_, SHMWAL_DURABLE) < before + 4096)
        sched_yield();
    cut(_i);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        ck_assert_int_eq(errors[i], -EIO);
    }
    expect_log_of_use();
}
END_TEST

/* ---- Waiting -------------------------------------------------------------------------------- */

struct waiter {
    pthread_t thread;
    uint64_t lsn;
    int error;
};

static void *wait_in_thread(void *argument)
{
    struct waiter *waiter = argument;
    waiter->error = shmwal_wait(log_, waiter->lsn, SHMWAL_DURABLE, -1);
    return NULL;
}

/* A reservation holds it up. Nobody comes upon a cut behind it. */
START_TEST(waiter_that_sleeps_fails)
{
    shmwal_slot slot;
    struct waiter waiter;
    append_durably("durable");
    SUPPORT_OK(shmwal_reserve(log_, 5, &slot));
    SUPPORT_OK(shmwal_append(log_, "never", 5, &waiter.lsn));
    ck_assert_int_eq(pthread_create(&waiter.thread, NULL, wait_in_thread, &waiter), 0);
    while (!atomic_load(&view.control->shard_wanted[wait_shard_index(waiter.lsn)]))
        sched_yield();
    cut(_i);
    pthread_join(waiter.thread, NULL);
    ck_assert_int_eq(waiter.error, -EIO);
    expect_log_of_use();
}
END_TEST

/* What is durable is reached, and all else not: neither what the ring held nor what nobody has
 * appended yet. */
START_TEST(waits_fail_but_for_what_is_durable)
{
    append_durably("durable");
    uint64_t durable = shmwal_lsn(log_, SHMWAL_DURABLE);
    cut_object(SHM_RING, 0);
    expect_lost(append_until_refused());
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_DURABLE), durable);
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_COMMITTED), durable);
    SUPPORT_OK(shmwal_wait(log_, durable, SHMWAL_DURABLE, 0));
    expect_lost(shmwal_wait(log_, durable + 64, SHMWAL_COMMITTED, -1));
    expect_lost(shmwal_wait(log_, shmwal_reserved_lsn(log_), SHMWAL_DURABLE, -1));
    shmwal_target target = {
        .log = log_, .lsn = durable + 4096, .level = SHMWAL_DURABLE, .flags = SHMWAL_AHEAD};
    ck_assert_int_eq(shmwal_wait_any(&target, 1, -1, NULL, 0), 1);
    ck_assert_int_eq(target.result, -EIO);
    expect_log_of_use();
}
END_TEST

START_TEST(durable_lsn_never_rises_with_the_loss)
{
    append_durably("durable");
    uint64_t durable = shmwal_lsn(log_, SHMWAL_DURABLE);
    cut(_i);
    append_until_refused();
    ck_assert_uint_le(shmwal_lsn(log_, SHMWAL_DURABLE), shmwal_lsn(log_, SHMWAL_COMMITTED));
    expect_log_of_use();
    ck_assert_uint_ge(shmwal_lsn(log_, SHMWAL_DURABLE), durable);
}
END_TEST

static void *follow_in_thread(void *argument)
{
    shmwal_reader *reader = argument;
    shmwal_record record;
    while (shmwal_reader_wait(reader, -1) == 0 && shmwal_reader_next(reader, &record) == 1)
        if (record.length == 6 && memcmp(record.data, "behind", 6) == 0)
            return NULL;
    return (void *)"it has ended early";
}

START_TEST(reader_goes_on_with_the_next_ring)
{
    shmwal_reader *reader;
    pthread_t thread;
    void *wrong;
    append_durably("durable");
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    ck_assert_int_eq(pthread_create(&thread, NULL, follow_in_thread, reader), 0);
    while (atomic_load(&view.control->shard_wanted[0]) == 0 &&
           !atomic_load(&view.control->shard_wanted[wait_shard_index(
               shmwal_lsn(log_, SHMWAL_DURABLE) + FORMAT_UNIT)]))
        sched_yield();
    cut(_i);
    expect_log_of_use();
    pthread_join(thread, &wrong);
    ck_assert_ptr_null(wrong);
    SUPPORT_OK(shmwal_reader_close(reader));
}
END_TEST

/* ---- Looking on ----------------------------------------------------------------------------- */

static bool cut_while_looking;

uint64_t __real_ring_finished_until(const struct ring *ring, uint64_t lsn);
uint64_t __wrap_ring_finished_until(const struct ring *ring, uint64_t lsn);

uint64_t __wrap_ring_finished_until(const struct ring *ring, uint64_t lsn)
{
    if (cut_while_looking)
        cut_object(SHM_RING, 0);
    cut_while_looking = false;
    return __real_ring_finished_until(ring, lsn);
}

START_TEST(status_fails)
{
    shmwal_status status = {.size = sizeof status};
    append_durably("durable");
    cut_while_looking = true;
    expect_lost(shmwal_get_status(support_log, &status));
    expect_log_of_use();
}
END_TEST

START_TEST(fence_fails)
{
    shmwal_fencing fencing = {.size = sizeof fencing};
    append_durably("durable");
    cut_while_looking = true;
    expect_lost(shmwal_fence(support_log, 0, 0, 0, &fencing));
    expect_log_of_use();
}
END_TEST

/* ---- Children ------------------------------------------------------------------------------- */

START_TEST(child_and_parent_both_fail)
{
    append_durably("durable");
    pid_t child = fork();
    if (child == 0) {
        int error = shmwal_append(log_, "perhaps", 7, NULL);
        cut(_i);
        if (error == 0)
            error = append_until_refused();
        _exit(error == -EIO ? 0 : 1);
    }
    ck_assert_int_eq(support_wait(child), 0);
    expect_lost(append_until_refused());
    expect_log_of_use();
}
END_TEST

START_TEST(child_of_one_that_has_lost_its_ring_opens_anew)
{
    append_durably("durable");
    cut_object(SHM_RING, 0);
    expect_lost(append_until_refused());
    pid_t child = fork();
    if (child == 0) {
        open_anew();
        append_durably("behind");
        shmwal_close(log_);
        _exit(0);
    }
    ck_assert_int_eq(support_wait(child), 0);
    ck_assert_uint_eq(count("behind"), 1);
    open_anew();
}
END_TEST

/* ---- Faults and handlers of others ---------------------------------------------------------- */

/* Memory that is no more, at `place` if that is free. */
static char *lose_memory(void *place, size_t bytes)
{
    int fd = memfd_create("lost", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
    char *memory = mmap(place, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | (place == NULL ? 0 : MAP_FIXED_NOREPLACE), fd, 0);
    ck_assert(place == NULL ? memory != MAP_FAILED : memory == place);
    ck_assert_int_eq(ftruncate(fd, 0), 0);
    close(fd);
    return memory;
}

static void die_quietly(void)
{
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

/* A child has not inherited its parent's ring. */
START_TEST(memory_of_a_child_where_its_parents_ring_is_is_its_own)
{
    append_durably("durable");
    pid_t child = fork();
    if (child == 0) {
        die_quietly();
        *lose_memory(log_->region.control, log_->region.mapped_bytes) = 1;
        _exit(0);
    }
    ck_assert_int_eq(support_wait(child), -SIGBUS);
    expect_log_of_use();
}
END_TEST

START_TEST(signal_that_somebody_sends_ends_the_process)
{
    pid_t child = fork();
    if (child == 0) {
        die_quietly();
        raise(SIGBUS);
        _exit(0);
    }
    ck_assert_int_eq(support_wait(child), -SIGBUS);
}
END_TEST

static sigjmp_buf back;
static void *volatile handled_at;
static volatile sig_atomic_t handled, usr1_blocked, usr2_blocked, bus_blocked;

static void on_fault_of_mine(int number, siginfo_t *info, void *context)
{
    sigset_t blocked;
    (void)context;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    usr1_blocked = sigismember(&blocked, SIGUSR1);
    usr2_blocked = sigismember(&blocked, SIGUSR2);
    bus_blocked = sigismember(&blocked, number);
    handled_at = info->si_addr;
    handled++;
    siglongjmp(back, 1);
}

static void setup_with_handler(void)
{
    struct sigaction action = {.sa_sigaction = on_fault_of_mine, .sa_flags = SA_SIGINFO};
    sigaddset(&action.sa_mask, SIGUSR1);
    sigaction(SIGBUS, &action, NULL);
    setup();
}

static void setup_ignoring(void)
{
    signal(SIGBUS, SIG_IGN);
    setup();
}

/* As the kernel would have called it: with the signals blocked that it has asked for. */
START_TEST(handler_that_was_there_before_has_the_faults_that_are_its_own)
{
    char *lost = lose_memory(NULL, 4096);
    append_durably("durable");
    for (int i = 1; i <= 2; i++) {
        if (sigsetjmp(back, 1) == 0)
            *lost = 1;
        ck_assert_int_eq(handled, i);
        ck_assert_ptr_eq(handled_at, lost);
        ck_assert(usr1_blocked == 1 && usr2_blocked == 0 && bus_blocked == 1);
    }
    cut_object(SHM_RING, 0);
    expect_lost(append_until_refused());
    ck_assert_int_eq(handled, 2);
    munmap(lost, 4096);
    expect_log_of_use();
}
END_TEST

/* Where the ring was mapped until it was closed. */
START_TEST(memory_of_others_where_a_ring_was_is_theirs)
{
    void *place = log_->region.control;
    size_t bytes = log_->region.mapped_bytes;
    append_durably("durable");
    shmwal_close(log_);
    log_ = NULL;
    char *lost = lose_memory(place, bytes);
    if (sigsetjmp(back, 1) == 0)
        *lost = 1;
    ck_assert_int_eq(handled, 1);
    munmap(lost, bytes);
}
END_TEST

/* But a fault cannot be. */
START_TEST(signal_that_was_ignored_is)
{
    raise(SIGBUS);
    append_durably("durable");
    pid_t child = fork();
    if (child == 0) {
        die_quietly();
        *lose_memory(NULL, 4096) = 1;
        _exit(0);
    }
    ck_assert_int_eq(support_wait(child), -SIGBUS);
    cut_object(SHM_RING, 0);
    expect_lost(append_until_refused());
    expect_log_of_use();
}
END_TEST

static int append_uninterrupted(void)
{
    NOT_INTERRUPTED;
    return append_until_refused();
}

START_TEST(fault_while_signals_are_blocked_is_an_error_too)
{
    append_durably("durable");
    cut_object(SHM_RING, 0);
    expect_lost(append_uninterrupted());
    expect_log_of_use();
}
END_TEST

/* It would find SIGBUS blocked, and may append. */
START_TEST(no_handler_of_the_programs_runs_in_the_middle_of_it)
{
    struct sigaction action;
    ck_assert_int_eq(sigaction(SIGBUS, NULL, &action), 0);
    ck_assert_int_eq(sigismember(&action.sa_mask, SIGUSR1), 1);
    ck_assert_int_eq(sigismember(&action.sa_mask, SIGSEGV), 0);
}
END_TEST

static TCase *add_case(Suite *suite, const char *name, SFun before)
{
    TCase *cases = tcase_create(name);
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, before, teardown);
    suite_add_tcase(suite, cases);
    return cases;
}

int main(void)
{
    Suite *suite = suite_create("truncated");
    TCase *cases = add_case(suite, "truncated", setup);
    tcase_add_loop_test(cases, append_fails_and_nothing_durable_is_lost, 0, CUTS);
    tcase_add_test(cases, append_that_must_not_wait_says_why_as_well);
    tcase_add_test(cases, batch_fails);
    tcase_add_loop_test(cases, open_reservation_cannot_be_committed, 0, RING_CUTS);
    tcase_add_test(cases, open_reservation_cannot_be_discarded);
    tcase_add_loop_test(cases, threads_that_append_all_fail, 0, CUTS);
    for (int i = 0; i < CUTS; i++)
        if (cuts[i].ring != 7)
            tcase_add_loop_test(cases, waiter_that_sleeps_fails, i, i + 1);
    tcase_add_test(cases, waits_fail_but_for_what_is_durable);
    tcase_add_loop_test(cases, durable_lsn_never_rises_with_the_loss, 0, CUTS);
    tcase_add_test(cases, reader_goes_on_with_the_next_ring);
    tcase_add_loop_test(cases, reader_goes_on_with_the_next_ring, 3, CUTS);
    tcase_add_test(cases, status_fails);
    tcase_add_test(cases, fence_fails);
    tcase_add_loop_test(cases, child_and_parent_both_fail, 0, CUTS);
    tcase_add_test(cases, child_of_one_that_has_lost_its_ring_opens_anew);
    tcase_add_test(cases, memory_of_a_child_where_its_parents_ring_is_is_its_own);
    tcase_add_test(cases, signal_that_somebody_sends_ends_the_process);
    tcase_add_test(cases, fault_while_signals_are_blocked_is_an_error_too);
    tcase_add_test(cases, no_handler_of_the_programs_runs_in_the_middle_of_it);
    tcase_add_test(add_case(suite, "ignored", setup_ignoring), signal_that_was_ignored_is);
    cases = add_case(suite, "handled", setup_with_handler);
    tcase_add_test(cases, handler_that_was_there_before_has_the_faults_that_are_its_own);
    tcase_add_test(cases, memory_of_others_where_a_ring_was_is_theirs);
    return support_main(suite);
}
