/* SPDX-License-Identifier: MIT
 *
 * Forks in all their forms, threads that are cancelled or end early, and processes that exec or
 * exit, each in the middle of something. include/shmwal.h says what holds.
 *
 * LDFLAGS: -Wl,--wrap=sys_openat */
#include "support.h"

#include "region/attachment.h"
#include "region/region.h"
#include "region/view.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

extern char **environ;

static shmwal *log_;

static void setup(void)
{
    support_setup();
}

static void teardown(void)
{
    shmwal_close(log_);
    log_ = NULL;
    support_teardown();
}

/* A fork that the C library does not know of: none of its handlers runs. Nor do those of a
 * sanitizer's runtime, whose locks may then stay locked in the child. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { RAW_FORKS = 0 };
#else
enum { RAW_FORKS = 1 };
#endif
static pid_t raw_fork(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* ---- Children that live on ---- */

enum { LINGERING_MAX = 400 };
static struct {
    pid_t (*fork)(void);
    _Atomic int stop, count;
    pid_t pids[LINGERING_MAX];
} lingering;

/* Forks children that do nothing, and live, while other threads work. */
static void *fork_until_told(void *unused)
{
    while (!atomic_load(&lingering.stop) && lingering.count < LINGERING_MAX) {
        pid_t child = lingering.fork();
        if (child == 0)
            for (;;)
                pause();
        lingering.pids[lingering.count++] = child;
    }
    return unused;
}

static pthread_t start_forking(pid_t (*how)(void))
{
    pthread_t thread;
    lingering.fork = how;
    lingering.count = 0;
    atomic_store(&lingering.stop, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, fork_until_told, NULL), 0);
    return thread;
}

static void stop_forking(pthread_t thread)
{
    atomic_store(&lingering.stop, 1);
    pthread_join(thread, NULL);
}

static void end_children(void)
{
    for (int i = 0; i < lingering.count; i++) {
        kill(lingering.pids[i], SIGKILL);
        support_wait(lingering.pids[i]);
    }
}

/* They keep what they inherit, the pipe that the flusher answers through among it. */
START_TEST(open_is_not_held_up_by_children_that_were_forked_meanwhile)
{
    pthread_t forking = start_forking(_i == 0 ? fork : raw_fork);
    for (int i = 0; i < 4; i++) {
        log_ = support_open(0);
        SUPPORT_OK(shmwal_append(log_, "x", 1, NULL));
        support_wait_for_all(log_);
        SUPPORT_OK(shmwal_close(log_));
        log_ = NULL;
        SUPPORT_OK(shmwal_stop(support_log, 300 * SECONDS));
    }
    stop_forking(forking);
    end_children();
}
END_TEST

/* Opens many handles, each with an open reservation, while children are forked that live on; and is
 * killed. Nothing of it may be held by them. Tells its children's number and identities first. */
static void open_and_fork(int out)
{
    enum { HANDLES = 16 };
    pthread_t forking = start_forking(fork);
    for (int i = 0; i < HANDLES || lingering.count == 0; i++) {
        shmwal_slot slot;
        if (shmwal_reserve(support_open(0), 8, &slot) < 0)
            _exit(1);
    }
    stop_forking(forking);
    if (write(out, &lingering.count, sizeof lingering.count) < 0 ||
        write(out, lingering.pids, sizeof lingering.pids) < 0)
        _exit(2);
    for (;;)
        pause();
}

static void read_all(int fd, void *data, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t got = read(fd, (char *)data + done, length - done);
        ck_assert_int_gt(got, 0);
        done += (size_t)got;
    }
}

START_TEST(killed_process_is_not_kept_alive_by_children_forked_while_it_attached)
{
    int ends[2];
    log_ = support_open(0);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0)
        open_and_fork(ends[1]);
    read_all(ends[0], &lingering.count, sizeof lingering.count);
    read_all(ends[0], lingering.pids, sizeof lingering.pids);
    kill(child, SIGKILL);
    support_wait(child);
    SUPPORT_OK(shmwal_append(log_, "behind", 6, NULL));
    int error = shmwal_wait(log_, shmwal_reserved_lsn(log_), SHMWAL_DURABLE, 60 * SECONDS);
    for (int i = 0; i < lingering.count; i++) /* no children of ours: nobody to wait for */
        kill(lingering.pids[i], SIGKILL);
    ck_assert_msg(error == 0, "%s", shmwal_error());
    ck_assert_int_gt(lingering.count, 0);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* In a process whose flusher does not come: a thread that forks while another is stuck there. */
static void *open_for_ever(void *unused)
{
    shmwal *log;
    shmwal_open(support_log, NULL, &log);
    return unused;
}

static void wait_until_exists(const char *path)
{
    while (access(path, F_OK) != 0)
        sched_yield();
}

static void stick_and_fork(int out, const char *started)
{
    pthread_t thread;
    pthread_create(&thread, NULL, open_for_ever, NULL);
    wait_until_exists(started);
    pid_t child = fork(); /* is not held up either */
    if (child == 0)
        for (;;)
            pause();
    if (write(out, &child, sizeof child) < 0)
        _exit(1);
    for (;;)
        pause();
}

START_TEST(process_killed_while_it_starts_a_flusher_leaves_no_lock_to_its_child)
{
    char script[100], started[100];
    int ends[2];
    pid_t child, grandchild;
    const char *flusher = getenv("DURALOG_FLUSHER");
    snprintf(script, sizeof script, "%s/stuck-flusher", support_directory);
    snprintf(started, sizeof started, "%s/started", support_directory);
    FILE *file = fopen(script, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "#!/bin/sh\necho $$ >%s.new\nmv %s.new %s\nexec sleep 100000\n", started, started,
            started);
    ck_assert_int_eq(fchmod(fileno(file), 0700), 0);
    fclose(file);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    child = fork();
    if (child == 0) {
        setenv("DURALOG_FLUSHER", script, 1);
        stick_and_fork(ends[1], started);
    }
    read_all(ends[0], &grandchild, sizeof grandchild);
    kill(child, SIGKILL);
    support_wait(child);
    ck_assert_str_eq(getenv("DURALOG_FLUSHER"), flusher);
    log_ = support_open(0);
    kill(grandchild, SIGKILL);
    int stuck = 0;
    file = fopen(started, "r");
    ck_assert_int_eq(fscanf(file, "%d", &stuck), 1);
    fclose(file);
    kill(stuck, SIGKILL);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

/* ---- Forks are not held up ---- */

static _Atomic int device_hangs, somebody_hangs;

int __real_sys_openat(int directory, const char *name, int flags, mode_t mode);
int __wrap_sys_openat(int directory, const char *name, int flags, mode_t mode);

/* A device that takes its time to find a file that is opened for the first time. */
int __wrap_sys_openat(int directory, const char *name, int flags, mode_t mode)
{
    if (strcmp(name, "lock") == 0 && (flags & O_CREAT))
        while (atomic_load(&device_hangs)) {
            atomic_store(&somebody_hangs, 1);
            sched_yield();
        }
    return __real_sys_openat(directory, name, flags, mode);
}

static void *open_once(void *unused)
{
    SUPPORT_OK(shmwal_close(support_open(0)));
    return unused;
}

START_TEST(fork_does_not_wait_for_the_device_of_a_log_that_another_thread_opens)
{
    pthread_t opening;
    SUPPORT_OK(shmwal_create(support_log, NULL));
    atomic_store(&device_hangs, 1);
    pthread_create(&opening, NULL, open_once, NULL);
    while (!atomic_load(&somebody_hangs))
        sched_yield();
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    ck_assert_int_eq(support_wait(child), 0);
    atomic_store(&device_hangs, 0);
    pthread_join(opening, NULL);
}
END_TEST

static pthread_mutex_t program_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int stop_opening;

static void lock_program(void)
{
    pthread_mutex_lock(&program_lock);
}

static void unlock_program(void)
{
    pthread_mutex_unlock(&program_lock);
}

static void *open_with_the_lock(void *unused)
{
    while (!atomic_load(&stop_opening)) {
        lock_program();
        SUPPORT_OK(shmwal_close(support_open(0)));
        unlock_program();
    }
    return unused;
}

/* As a program does it that has its own lock over forks. */
START_TEST(program_may_hold_a_lock_in_open_that_its_fork_handlers_take)
{
    pthread_t opening;
    ck_assert_int_eq(pthread_atfork(lock_program, unlock_program, unlock_program), 0);
    log_ = support_open(0);
    atomic_store(&stop_opening, 0);
    pthread_create(&opening, NULL, open_with_the_lock, NULL);
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        ck_assert_int_eq(support_wait(child), 0);
    }
    atomic_store(&stop_opening, 1);
    pthread_join(opening, NULL);
}
END_TEST

/* ---- What children may do ---- */

static _Atomic int stop_appending;

static void *append_until_told(void *unused)
{
    while (!atomic_load(&stop_appending))
        if (shmwal_append(log_, "thread", 6, NULL) < 0)
            abort();
    return unused;
}

static int append_in_child(void)
{
    uint64_t lsn;
    int error = shmwal_append(log_, "child", 5, &lsn);
    return error == 0 ? 0 : -error;
}

static void fork_while_a_thread_appends(pid_t (*how)(void), int children)
{
    pthread_t thread;
    log_ = support_open(0);
    atomic_store(&stop_appending, 0);
    pthread_create(&thread, NULL, append_until_told, NULL);
    for (int i = 0; i < children; i++) {
        pid_t child = how();
        if (child == 0)
            _exit(append_in_child());
        ck_assert_int_eq(support_wait(child), 0);
    }
    atomic_store(&stop_appending, 1);
    pthread_join(thread, NULL);
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("child"), (uint64_t)children);
}

START_TEST(children_forked_in_the_middle_of_appends_append_too)
{
    fork_while_a_thread_appends(fork, 200);
}
END_TEST

START_TEST(children_made_by_a_raw_clone_append_too)
{
    fork_while_a_thread_appends(raw_fork, 100);
}
END_TEST

static void *open_until_told(void *unused)
{
    while (!atomic_load(&stop_appending))
        SUPPORT_OK(shmwal_close(support_open(0)));
    return unused;
}

/* Whose locks that thread may hold, which the child has not. */
START_TEST(children_made_by_a_raw_clone_while_a_thread_opens_append_too)
{
    pthread_t opening;
    log_ = support_open(0);
    atomic_store(&stop_appending, 0);
    pthread_create(&opening, NULL, open_until_told, NULL);
    for (int i = 0; i < 300; i++) {
        pid_t child = raw_fork();
        if (child == 0)
            _exit(append_in_child());
        ck_assert_int_eq(support_wait(child), 0);
    }
    atomic_store(&stop_appending, 1);
    pthread_join(opening, NULL);
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("child"), 300);
}
END_TEST

__attribute__((noinline)) static pid_t vfork_and_append(void)
{
    pid_t child = vfork();
    if (child == 0)
        _exit(shmwal_append(log_, "child", 5, NULL) == 0 ? 0 : 1); /* NOLINT: just this is tried */
    return child;
}

/* It shares its parent's memory, so it is one more thread of it. */
START_TEST(vfork_child_may_append)
{
    log_ = support_open(0);
    for (int i = 0; i < 50; i++) {
        pid_t child = vfork_and_append();
        ck_assert_int_eq(support_wait(child), 0);
        SUPPORT_OK(shmwal_append(log_, "parent", 6, NULL));
    }
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("child"), 50);
    ck_assert_uint_eq(support_count("parent"), 50);
}
END_TEST

/* Which shows every descriptor that it was left. */
START_TEST(spawned_programs_get_no_descriptor_of_a_log)
{
    char text[512];
    int ends[2];
    posix_spawn_file_actions_t actions;
    pthread_t opening;
    _Atomic int *stop = &stop_appending;
    atomic_store(stop, 0);
    log_ = support_open(0);
    pthread_create(&opening, NULL, append_until_told, NULL);
    for (int i = 0; i < 30; i++) {
        pid_t child;
        shmwal *other = support_open(0);
        char *const words[] = {(char *)"ls", (char *)"-l", (char *)"/proc/self/fd", NULL};
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        ck_assert_int_eq(posix_spawnp(&child, "ls", &actions, NULL, words, environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        FILE *listing = fdopen(ends[0], "r");
        while (fgets(text, sizeof text, listing) != NULL)
            ck_assert_msg(strstr(text, support_log) == NULL && strstr(text, "/dev/shm/") == NULL,
                          "%s", text);
        fclose(listing);
        ck_assert_int_eq(support_wait(child), 0);
        SUPPORT_OK(shmwal_close(other));
    }
    atomic_store(stop, 1);
    pthread_join(opening, NULL);
    support_wait_for_all(log_);
}
END_TEST

START_TEST(reader_works_on_in_a_forked_child)
{
    shmwal_reader *reader;
    shmwal_record record;
    log_ = support_open(0);
    SUPPORT_OK(shmwal_append(log_, "one", 3, NULL));
    SUPPORT_OK(shmwal_append(log_, "two", 3, NULL));
    support_wait_for_all(log_);
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    ck_assert_int_eq(shmwal_reader_next(reader, &record), 1);
    pid_t child = fork();
    if (child == 0) {
        bool good = shmwal_reader_next(reader, &record) == 1 &&
                    memcmp(record.data, "two", 3) == 0 &&
                    shmwal_append(log_, "three", 5, NULL) == 0 &&
                    shmwal_reader_wait(reader, 60 * SECONDS) == 0 &&
                    shmwal_reader_next(reader, &record) == 1 && record.length == 5 &&
                    shmwal_reader_close(reader) == 0;
        _exit(good ? 0 : 1);
    }
    ck_assert_int_eq(support_wait(child), 0);
    ck_assert_int_eq(shmwal_reader_next(reader, &record), 1);
    SUPPORT_OK(shmwal_reader_close(reader));
}
END_TEST

/* ---- Ends ---- */

static void reserve_and(void (*end)(void))
{
    pid_t child = fork();
    if (child == 0) {
        shmwal_slot slot;
        if (shmwal_reserve(log_, 100, &slot) < 0)
            _exit(1);
        end();
    }
    ck_assert_int_eq(support_wait(child), 0);
    SUPPORT_OK(shmwal_append(log_, "behind", 6, NULL));
    support_wait_for_all(log_);
}

static void end_by_underscore_exit(void)
{
    _exit(0);
}

static void end_by_syscall(void)
{
    syscall(SYS_exit_group, 0);
}

static void end_by_exec(void)
{
    execlp("true", "true", NULL);
}

/* All handlers of the C library run; those of check are none of a child's business. */
static void end_by_exit(void)
{
    exit(0);
}

START_TEST(open_reservation_ends_with_its_process_however_that_ends)
{
    log_ = support_open(0);
    reserve_and(end_by_underscore_exit);
    reserve_and(end_by_syscall);
    reserve_and(end_by_exec);
    reserve_and(end_by_exit);
    ck_assert_uint_eq(support_count("behind"), 4);
}
END_TEST

static void *reserve_and_exit(void *slot)
{
    SUPPORT_OK(shmwal_reserve(log_, 4, slot));
    pthread_exit(NULL);
}

/* A slot is its handle's, not its thread's. */
START_TEST(reservation_of_a_thread_that_ended_is_committed_by_another)
{
    pthread_t thread;
    shmwal_slot slot;
    log_ = support_open(0);
    pthread_create(&thread, NULL, reserve_and_exit, &slot);
    pthread_join(thread, NULL);
    memcpy(slot.data, "slot", 4);
    SUPPORT_OK(shmwal_commit(log_, &slot, NULL));
    pthread_create(&thread, NULL, reserve_and_exit, &slot);
    pthread_join(thread, NULL);
    SUPPORT_OK(shmwal_append(log_, "behind", 6, NULL));
    SUPPORT_OK(shmwal_close(log_)); /* which gives up the one that was forgotten */
    log_ = support_open(0);
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("slot"), 1);
    ck_assert_uint_eq(support_count("behind"), 1);
}
END_TEST

/* ---- Cancellation ---- */

static _Atomic int begun;

static void *open_and_close(void *unused)
{
    shmwal *log;
    atomic_fetch_add(&begun, 1);
    for (;;) {
        shmwal_options options = support_options(0);
        int error = shmwal_open(support_log, &options, &log);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
        if (error == 0)
            shmwal_close(log);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        pthread_testcancel();
    }
    return unused;
}

static int open_descriptors(void)
{
    int open = 0;
    for (int fd = 0; fd < 1024; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    return open;
}

/* Passes a little time: each time another one, so that it ends in the middle of something else. */
static void spin_ns(int64_t length)
{
    int64_t end = clock_monotonic_ns() + length;
    while (clock_monotonic_ns() < end)
        continue;
}

static void cancel(pthread_t thread)
{
    void *result;
    ck_assert_int_eq(pthread_cancel(thread), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, PTHREAD_CANCELED);
}

START_TEST(thread_cancelled_in_open_leaves_no_lock_and_no_descriptor)
{
    log_ = support_open(0);
    int before = open_descriptors();
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        atomic_store(&begun, 0);
        pthread_create(&thread, NULL, open_and_close, NULL);
        while (atomic_load(&begun) == 0)
            sched_yield();
        spin_ns(i * INT64_C(5000));
        cancel(thread);
    }
    ck_assert_int_eq(open_descriptors(), before);
    shmwal *again = support_open(0); /* which would hang */
    SUPPORT_OK(shmwal_close(again));
}
END_TEST

static void *wait_for_ever(void *lsn)
{
    atomic_fetch_add(&begun, 1);
    shmwal_wait(log_, *(const uint64_t *)lsn, SHMWAL_DURABLE, -1);
    return NULL;
}

static void *append_for_ever(void *unused)
{
    static const char big[4096];
    atomic_fetch_add(&begun, 1);
    while (shmwal_append(log_, big, sizeof big, NULL) == 0)
        continue;
    return unused;
}

/* An open reservation keeps both from ever coming to an end. */
START_TEST(threads_that_wait_are_cancelled)
{
    shmwal_slot slot;
    pthread_t threads[4];
    uint64_t lsn;
    log_ = support_open(0);
    int before = open_descriptors();
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    SUPPORT_OK(shmwal_append(log_, "behind", 6, &lsn));
    atomic_store(&begun, 0);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, i % 2 ? wait_for_ever : append_for_ever, &lsn);
    while (atomic_load(&begun) < 4)
        sched_yield();
    for (int i = 0; i < 4; i++)
        cancel(threads[i]);
    ck_assert_int_eq(open_descriptors(), before);
    SUPPORT_OK(shmwal_discard(log_, &slot));
    support_wait_for_all(log_);
    ck_assert_uint_eq(support_count("behind"), 1);
}
END_TEST

/* ---- No descriptor left ---- */

START_TEST(wait_without_a_descriptor_left_goes_on)
{
    struct rlimit limit;
    shmwal_slot slot;
    uint64_t lsn;
    log_ = support_open(0);
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    SUPPORT_OK(shmwal_append(log_, "behind", 6, &lsn));
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 0;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int error = shmwal_wait(log_, lsn, SHMWAL_DURABLE, SECONDS / 2); /* some looks at the flusher */
    shmwal *other;
    int opened = shmwal_open(support_log, NULL, &other);
    limit.rlim_cur = before;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(error, -ETIMEDOUT);
    ck_assert_int_eq(opened, -EMFILE);
    SUPPORT_OK(shmwal_discard(log_, &slot));
    support_wait_for_all(log_);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forks");
    TCase *cases = tcase_create("forks");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, open_is_not_held_up_by_children_that_were_forked_meanwhile, 0,
                        1 + RAW_FORKS);
    tcase_add_test(cases, killed_process_is_not_kept_alive_by_children_forked_while_it_attached);
    tcase_add_test(cases, process_killed_while_it_starts_a_flusher_leaves_no_lock_to_its_child);
    tcase_add_test(cases, fork_does_not_wait_for_the_device_of_a_log_that_another_thread_opens);
    tcase_add_test(cases, program_may_hold_a_lock_in_open_that_its_fork_handlers_take);
    tcase_add_test(cases, children_forked_in_the_middle_of_appends_append_too);
    if (RAW_FORKS) {
        tcase_add_test(cases, children_made_by_a_raw_clone_append_too);
        tcase_add_test(cases, children_made_by_a_raw_clone_while_a_thread_opens_append_too);
    }
    tcase_add_test(cases, vfork_child_may_append);
    tcase_add_test(cases, spawned_programs_get_no_descriptor_of_a_log);
    tcase_add_test(cases, reader_works_on_in_a_forked_child);
    tcase_add_test(cases, open_reservation_ends_with_its_process_however_that_ends);
    tcase_add_test(cases, reservation_of_a_thread_that_ended_is_committed_by_another);
    tcase_add_test(cases, thread_cancelled_in_open_leaves_no_lock_and_no_descriptor);
    tcase_add_test(cases, threads_that_wait_are_cancelled);
    tcase_add_test(cases, wait_without_a_descriptor_left_goes_on);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
