/* SPDX-License-Identifier: MIT
 *
 * shmwal_fence: it ends the process that holds the log up, and never another one, whatever the ring
 * says. Processes in other namespaces are test_namespaces.c's. */
#include "holder.h"

#include "region/attachment.h"
#include "region/region.h"
#include "region/shm.h"
#include "region/view.h"

#include <inttypes.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

enum { NOBODY = 65534 };

static shmwal *log_;
static struct directory directory;
static struct region_view view;
static struct holder holder;

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

/* With the limit at 0: what is open is open for long enough. */
static int fence(uint32_t flags, shmwal_fencing *fencing)
{
    *fencing = (shmwal_fencing){.size = sizeof *fencing};
    return shmwal_fence(support_log, flags, 0, 60 * SECONDS, fencing);
}

static shmwal_fencing fence_ok(uint32_t flags)
{
    shmwal_fencing fencing;
    SUPPORT_OK(fence(flags, &fencing));
    return fencing;
}

/* Nobody may be killed: the holder, above all, who could. */
static void expect_refusal(int error, const char *part)
{
    shmwal_fencing fencing;
    ck_assert_int_eq(fence(0, &fencing), error);
    ck_assert_msg(strstr(shmwal_error(), part) != NULL, "%s", shmwal_error());
    ck_assert_msg(strstr(shmwal_error(), "nobody was killed") != NULL, "%s", shmwal_error());
    ck_assert(holder_is_alive(&holder));
}

static uint64_t append(shmwal *log, const char *text)
{
    uint64_t lsn = 0;
    SUPPORT_OK(shmwal_append(log, text, strlen(text), &lsn));
    return lsn;
}

static void wait_durable(uint64_t lsn)
{
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS));
}

static shmwal_status status(void)
{
    shmwal_status found = {.size = sizeof found};
    SUPPORT_OK(shmwal_get_status(support_log, &found));
    return found;
}

/* ---- What it is for ---- */

START_TEST(fence_kills_the_stopped_owner_and_nobody_else)
{
    holder = holder_start(log_);
    struct holder other = holder_start(log_);
    holder_stop(&holder);
    uint64_t lsn = append(log_, "behind");
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, SECONDS / 10), -ETIMEDOUT);
    shmwal_fencing fencing = fence_ok(0);
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_KILLED);
    ck_assert_int_eq(fencing.pid, holder.pid);
    ck_assert_uint_eq(fencing.lsn, 0);
    ck_assert_int_eq(fencing.filled, 1);
    ck_assert_int_eq(support_wait(holder.pid), -SIGKILL);
    holder_finish(&other);
    wait_durable(lsn);
    ck_assert_uint_eq(status().fillers_dead, 1);
}
END_TEST

START_TEST(fence_that_only_looks_names_the_owner_and_lets_it_live)
{
    holder = holder_start(log_);
    holder_stop(&holder);
    uint64_t lsn = append(log_, "behind");
    shmwal_fencing fencing = fence_ok(SHMWAL_FENCE_LOOK);
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_ALIVE);
    ck_assert_int_eq(fencing.pid, holder.pid);
    ck_assert_int_eq(fencing.filled, 0);
    holder_finish(&holder);
    wait_durable(lsn);
    ck_assert_uint_eq(status().fillers_dead, 0);
}
END_TEST

START_TEST(fence_of_a_log_without_open_reservations_does_nothing)
{
    ck_assert_int_eq(fence_ok(0).done, SHMWAL_FENCED_NOTHING);
    wait_durable(append(log_, "record"));
    ck_assert_int_eq(fence_ok(0).done, SHMWAL_FENCED_NOTHING);
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    ck_assert_int_eq(fence_ok(0).done, SHMWAL_FENCED_NOTHING);
}
END_TEST

static void *fence_patiently(void *fencing)
{
    SUPPORT_OK(shmwal_fence(support_log, 0, 3600 * SECONDS, 60 * SECONDS, fencing));
    return NULL;
}

START_TEST(fence_lets_a_reservation_be_that_is_finished_in_time)
{
    pthread_t thread;
    shmwal_fencing fencing = {.size = sizeof fencing, .done = SHMWAL_FENCED_KILLED};
    holder = holder_start(log_);
    ck_assert_int_eq(pthread_create(&thread, NULL, fence_patiently, &fencing), 0);
    holder_finish(&holder);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_NOTHING);
    wait_durable(64);
    ck_assert_uint_eq(status().fillers_dead, 0);
}
END_TEST

START_TEST(fence_counts_the_time_that_the_flusher_has_seen)
{
    holder = holder_start(log_);
    while (status().oldest_age_ms < 50)
        usleep(1000);
    shmwal_fencing fencing = {.size = sizeof fencing};
    SUPPORT_OK(shmwal_fence(support_log, 0, SECONDS / 20, 60 * SECONDS, &fencing));
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_KILLED);
    ck_assert_uint_ge(fencing.age_ms, 50);
    ck_assert_int_eq(support_wait(holder.pid), -SIGKILL);
}
END_TEST

START_TEST(fence_takes_arguments_that_make_sense_only)
{
    shmwal_fencing fencing = {.size = sizeof fencing};
    ck_assert_int_eq(shmwal_fence(NULL, 0, 0, 0, &fencing), -EINVAL);
    ck_assert_int_eq(shmwal_fence(support_log, 2, 0, 0, &fencing), -EINVAL);
    ck_assert_int_eq(shmwal_fence(support_log, 0, -1, 0, &fencing), -EINVAL);
    ck_assert_int_eq(shmwal_fence(support_log, 0, 0, 0, NULL), -EINVAL);
    fencing.size--;
    ck_assert_int_eq(shmwal_fence(support_log, 0, 0, 0, &fencing), -EINVAL);
}
END_TEST

/* ---- Whose reservation it is ---- */

START_TEST(fence_never_kills_the_caller)
{
    shmwal_slot slot;
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    shmwal_fencing fencing;
    ck_assert_int_eq(fence(0, &fencing), -EDEADLK);
    SUPPORT_OK(shmwal_discard(log_, &slot));
}
END_TEST

START_TEST(fence_knows_the_handles_of_one_process_apart)
{
    shmwal *second = support_open(0), *third = support_open(0);
    holder = holder_start(second);
    append(third, "another handle of this process");
    ck_assert_int_eq(fence_ok(0).pid, holder.pid);
    ck_assert_int_eq(support_wait(holder.pid), -SIGKILL);
    shmwal_close(second);
    shmwal_close(third);
}
END_TEST

/* The parent has reserved, and its child lives on and has not used the log. */
START_TEST(fence_kills_a_parent_and_not_its_child)
{
    int said[2], told[2];
    char byte;
    ck_assert_int_eq(pipe(said), 0);
    ck_assert_int_eq(pipe(told), 0);
    pid_t parent = fork();
    if (parent == 0) {
        shmwal_slot slot;
        close(told[1]);
        if (shmwal_reserve(log_, 1, &slot) < 0 || fork() < 0)
            _exit(1);
        do /* the two of them; then the one that lives */
            if (write(said[1], "x", 1) != 1)
                _exit(1);
        while (read(told[0], &byte, 1) == 1);
        _exit(0);
    }
    ck_assert_int_eq(read(said[0], &byte, 1), 1);
    ck_assert_int_eq(read(said[0], &byte, 1), 1);
    ck_assert_int_eq(fence_ok(0).pid, parent);
    ck_assert_int_eq(support_wait(parent), -SIGKILL);
    ck_assert_int_eq(write(told[1], "x", 1), 1);
    ck_assert_int_eq(read(said[0], &byte, 1), 1);
    close(told[1]);
}
END_TEST

START_TEST(fence_of_a_process_that_is_dead_already_awaits_its_filler)
{
    holder = holder_start(log_);
    holder_kill(&holder);
    shmwal_fencing fencing = fence_ok(0);
    ck_assert_int_eq(fencing.pid, 0);
    ck_assert(fencing.done == SHMWAL_FENCED_NOTHING || /* the flusher was first */
              (fencing.done == SHMWAL_FENCED_DEAD && fencing.filled == 1));
    wait_durable(append(log_, "behind"));
}
END_TEST

START_TEST(fence_without_a_flusher_kills_and_leaves_the_filler_to_the_next)
{
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    shmwal_close(log_);
    log_ = support_open(SHMWAL_NO_FLUSHER);
    holder = holder_start(log_);
    shmwal_fencing fencing = fence_ok(0);
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_KILLED);
    ck_assert_int_eq(fencing.filled, 0);
    ck_assert_int_eq(support_wait(holder.pid), -SIGKILL);
    fencing = fence_ok(0);
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_DEAD);
    ck_assert_int_eq(fencing.filled, 0);
    uint64_t lsn = append(log_, "behind");
    shmwal_close(log_);
    log_ = support_open(0);
    wait_durable(lsn);
}
END_TEST

START_TEST(fence_kills_a_process_in_a_debugger)
{
    holder = holder_start(log_);
    ck_assert_int_eq(ptrace(PTRACE_ATTACH, holder.pid, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(holder.pid, NULL, __WALL), holder.pid);
    shmwal_fencing fencing = fence_ok(0);
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_KILLED);
    ck_assert_int_eq(fencing.pid, holder.pid);
    ck_assert_int_eq(fencing.filled, 1);
    ck_assert_int_eq(support_wait(holder.pid), -SIGKILL);
}
END_TEST

/* ---- What the ring says is not believed ---- */

static pid_t start_innocent(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    return pid;
}

static void end_innocent(pid_t pid)
{
    ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGKILL);
    support_wait(pid);
}

START_TEST(fence_does_not_kill_a_process_without_the_ring)
{
    holder = holder_start(log_);
    pid_t innocent = start_innocent();
    atomic_store(&holder_entry(&holder, view.control)->pid, innocent);
    expect_refusal(-ESRCH, "cannot be seen from here");
    end_innocent(innocent);
    holder_kill(&holder);
}
END_TEST

START_TEST(fence_does_not_kill_a_process_with_the_ring_at_another_address)
{
    holder = holder_start(log_);
    struct holder other = holder_start(log_);
    atomic_store(&holder_entry(&other, view.control)->address, 0);
    atomic_store(&holder_entry(&holder, view.control)->address, UINT64_C(0x7f0000000000));
    atomic_store(&holder_entry(&holder, view.control)->pid, other.pid);
    expect_refusal(-ESRCH, "cannot be seen from here");
    holder_finish(&other);
    holder_kill(&holder);
}
END_TEST

START_TEST(fence_does_not_kill_a_process_with_an_attachment_of_its_own)
{
    holder = holder_start(log_);
    struct holder other = holder_start(log_);
    struct attachment *claim = holder_entry(&holder, view.control),
                      *victim = holder_entry(&other, view.control);
    atomic_store(&claim->address, atomic_load(&victim->address));
    atomic_store(&claim->pid, other.pid);
    expect_refusal(-EBADMSG, "several attachments");
    holder_finish(&other);
    holder_kill(&holder);
}
END_TEST

START_TEST(fence_does_not_kill_a_process_of_another_namespace_with_that_pid)
{
    holder = holder_start(log_);
    atomic_fetch_add(&holder_entry(&holder, view.control)->pid_namespace, 1);
    expect_refusal(-ESRCH, "of another PID namespace");
    holder_kill(&holder);
}
END_TEST

/* Where the flusher has the ring mapped, which is what a claim must say to be its own. */
static uint64_t flusher_address(pid_t flusher)
{
    char path[64], line[512];
    uint64_t begin = 0, offset = 1;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)flusher);
    FILE *maps = fopen(path, "r");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL && offset != 0)
        if (strstr(line, ".ring") != NULL &&
            sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64, &begin, &offset) == 2)
            continue;
    fclose(maps);
    ck_assert_uint_eq(offset, 0);
    return begin;
}

START_TEST(fence_does_not_kill_the_flusher)
{
    holder = holder_start(log_);
    pid_t flusher = atomic_load(&view.state->pid);
    struct attachment *claim = holder_entry(&holder, view.control);
    atomic_store(&claim->address, flusher_address(flusher));
    atomic_store(&claim->pid, flusher);
    expect_refusal(-EBADMSG, "is the log's flusher");
    ck_assert_int_eq(atomic_load(&view.state->pid), flusher);
    ck_assert_int_eq(kill(flusher, 0), 0);
    holder_kill(&holder);
    wait_durable(append(log_, "behind"));
}
END_TEST

START_TEST(fence_kills_nobody_if_the_ring_names_nobody)
{
    holder = holder_start(log_);
    struct attachment *claim = holder_entry(&holder, view.control);
    uint64_t id = atomic_exchange(&claim->id, 0);
    expect_refusal(-EBADMSG, "does not name the process");
    atomic_store(&claim->id, id);
    holder_kill(&holder);
}
END_TEST

/* ---- A pid that is somebody else's by now ---- */

/* A process that gets just this pid; -1 without the privilege. */
static pid_t fork_as(pid_t pid)
{
    struct clone_args arguments = {
        .exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&pid, .set_tid_size = 1};
    return (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
}

static int hold_memory(void *pipes)
{
    const int *ends = pipes; /* said, told */
    char byte;
    return write(ends[0], "r", 1) == 1 && read(ends[1], &byte, 1) == 0 ? 0 : 1;
}

/* A process that has reserved and waits for a child that shares its memory, as vfork and
 * posix_spawn make one. If the parent is killed, that child keeps the lock held, and the pid is
 * free. The child ends when told[1] is closed. */
static pid_t start_owner_of_shared_memory(int told[2])
{
    static char stack[64 * 1024];
    char byte;
    int said[2];
    ck_assert_int_eq(pipe(said), 0);
    ck_assert_int_eq(pipe(told), 0);
    pid_t parent = fork();
    if (parent == 0) {
        shmwal_slot slot;
        int ends[2] = {said[1], told[0]};
        close(told[1]);
        if (shmwal_reserve(log_, 1, &slot) == 0)
            clone(hold_memory, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, ends);
        _exit(1);
    }
    ck_assert_int_eq(read(said[0], &byte, 1), 1);
    return parent;
}

START_TEST(fence_says_who_keeps_a_dead_process_alive)
{
    int told[2];
    pid_t owner = start_owner_of_shared_memory(told);
    shmwal_fencing fencing = {.size = sizeof fencing};
    ck_assert_int_eq(shmwal_fence(support_log, 0, 0, SECONDS / 5, &fencing), -ETIMEDOUT);
    ck_assert_msg(strstr(shmwal_error(), "vfork") != NULL, "%s", shmwal_error());
    ck_assert_int_eq(support_wait(owner), -SIGKILL);
    close(told[1]);
    wait_durable(append(log_, "behind"));
}
END_TEST

/* The new one has what the old one had: the pid, and this ring, most likely at the same address,
 * since both are forks of one process. */
static void expect_no_victim(bool attached)
{
    int told[2];
    pid_t owner = start_owner_of_shared_memory(told);
    ck_assert_int_eq(kill(owner, SIGKILL), 0);
    ck_assert_int_eq(support_wait(owner), -SIGKILL);
    int ready[2];
    char byte;
    ck_assert_int_eq(pipe(ready), 0);
    holder = (struct holder){.pid = fork_as(owner)};
    if (holder.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(told[1]);
        if (attached && shmwal_append(log_, "alive", 5, NULL) < 0)
            _exit(1);
        if (write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    if (holder.pid == owner) {
        ck_assert_int_eq(read(ready[0], &byte, 1), 1);
        shmwal_fencing fencing;
        ck_assert_int_lt(fence(0, &fencing), 0);
        ck_assert_msg(strstr(shmwal_error(), "nobody was killed") != NULL, "%s", shmwal_error());
        end_innocent(holder.pid);
    }
    close(told[1]);
    wait_durable(append(log_, "behind"));
}

START_TEST(fence_does_not_kill_who_has_the_pid_of_a_dead_owner)
{
    expect_no_victim(false);
}
END_TEST

START_TEST(fence_does_not_kill_who_has_the_pid_and_the_ring_of_a_dead_owner)
{
    expect_no_victim(true);
}
END_TEST

/* Without a flusher until the pid is somebody else's. */
START_TEST(dead_owner_is_known_to_be_dead_though_its_pid_lives)
{
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    shmwal_close(log_);
    log_ = support_open(SHMWAL_NO_FLUSHER);
    holder = holder_start(log_);
    uint64_t lsn = append(log_, "behind");
    holder_kill(&holder);
    pid_t innocent = fork_as(holder.pid);
    if (innocent == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    if (innocent == holder.pid)
        ck_assert_int_eq(status().oldest_alive, 0);
    ck_assert_int_eq(fence_ok(0).done, SHMWAL_FENCED_DEAD);
    shmwal_close(log_);
    log_ = support_open(0);
    wait_durable(lsn);
    ck_assert_uint_eq(status().fillers_dead, 1);
    if (innocent > 0)
        end_innocent(innocent);
}
END_TEST

/* ---- What may not be looked at ---- */

/* In a child, so that this process stays as it is; what the child returns. */
static int in_child(int (*act)(void))
{
    pid_t child = fork();
    if (child == 0)
        _exit(act());
    return support_wait(child);
}

/* 0 if the call was refused with just this error and a sentence that has this part. */
static int is_refused(int error, const char *part)
{
    shmwal_fencing fencing;
    int got = fence(0, &fencing);
    if (got == error && strstr(shmwal_error(), part) != NULL)
        return 0;
    fprintf(stderr, "%d: %s\n", got, shmwal_error());
    return 1;
}

static int fence_as_nobody(void)
{
    if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
        return 2;
    return is_refused(-EACCES, "may not look at");
}

/* A process that has changed its user may not be looked at by that one: it may have secrets. */
START_TEST(fence_without_the_permission_to_look_kills_nobody)
{
    if (geteuid() != 0)
        return;
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    shmwal_close(log_);
    remove_tree(support_directory);
    ck_assert_int_eq(mkdir(support_directory, 0700), 0);
    ck_assert_int_eq(chown(support_directory, NOBODY, NOBODY), 0);
    int said[2], told[2];
    holder_pipes(&holder, said, told);
    holder.pid = fork();
    if (holder.pid == 0) {
        if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
            _exit(1);
        holder_run(support_open(SHMWAL_NO_FLUSHER), said, told);
    }
    holder_await(&holder, said, told);
    ck_assert_int_eq(in_child(fence_as_nobody), 0);
    ck_assert(holder_is_alive(&holder));
    holder_kill(&holder);
    struct directory theirs;
    SUPPORT_OK(directory_open(support_log, false, &theirs));
    shm_remove(&theirs);
    directory_close(&theirs);
    ck_assert_int_eq(chown(support_directory, 0, 0), 0);
    remove_tree(support_log);
    log_ = NULL;
}
END_TEST

static int fence_without_proc(void)
{
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/proc", "tmpfs", 0, NULL) < 0)
        return 77;
    return is_refused(-ENOENT, "/proc is missing");
}

START_TEST(fence_without_proc_kills_nobody)
{
    holder = holder_start(log_);
    int result = in_child(fence_without_proc);
    ck_assert(result == 0 || (result == 77 && geteuid() != 0));
    ck_assert(holder_is_alive(&holder));
    holder_finish(&holder);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fence");
    TCase *cases = tcase_create("fence");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, fence_kills_the_stopped_owner_and_nobody_else);
    tcase_add_test(cases, fence_that_only_looks_names_the_owner_and_lets_it_live);
    tcase_add_test(cases, fence_of_a_log_without_open_reservations_does_nothing);
    tcase_add_test(cases, fence_lets_a_reservation_be_that_is_finished_in_time);
    tcase_add_test(cases, fence_counts_the_time_that_the_flusher_has_seen);
    tcase_add_test(cases, fence_takes_arguments_that_make_sense_only);
    tcase_add_test(cases, fence_never_kills_the_caller);
    tcase_add_test(cases, fence_knows_the_handles_of_one_process_apart);
    tcase_add_test(cases, fence_kills_a_parent_and_not_its_child);
    tcase_add_test(cases, fence_of_a_process_that_is_dead_already_awaits_its_filler);
    tcase_add_test(cases, fence_without_a_flusher_kills_and_leaves_the_filler_to_the_next);
    tcase_add_test(cases, fence_kills_a_process_in_a_debugger);
    tcase_add_test(cases, fence_does_not_kill_a_process_without_the_ring);
    tcase_add_test(cases, fence_does_not_kill_a_process_with_the_ring_at_another_address);
    tcase_add_test(cases, fence_does_not_kill_a_process_with_an_attachment_of_its_own);
    tcase_add_test(cases, fence_does_not_kill_a_process_of_another_namespace_with_that_pid);
    tcase_add_test(cases, fence_does_not_kill_the_flusher);
    tcase_add_test(cases, fence_kills_nobody_if_the_ring_names_nobody);
    tcase_add_test(cases, fence_says_who_keeps_a_dead_process_alive);
    tcase_add_test(cases, fence_does_not_kill_who_has_the_pid_of_a_dead_owner);
    tcase_add_test(cases, fence_does_not_kill_who_has_the_pid_and_the_ring_of_a_dead_owner);
    tcase_add_test(cases, dead_owner_is_known_to_be_dead_though_its_pid_lives);
    tcase_add_test(cases, fence_without_the_permission_to_look_kills_nobody);
    tcase_add_test(cases, fence_without_proc_kills_nobody);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
