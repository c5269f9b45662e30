/* SPDX-License-Identifier: MIT
 *
 * Producers in PID, user and mount namespaces: who is alive stays exact, status names processes as
 * they are seen from where it is asked, and the fence kills across namespaces or says why not.
 * Needs the right to make namespaces; without it a test ends at once. */
#include "holder.h"

#include "store/directory.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

static shmwal *log_;

static void setup(void)
{
    support_setup();
    log_ = support_open(0);
}

static void teardown(void)
{
    shmwal_close(log_);
    support_teardown();
}

static bool may_make_namespaces(void)
{
    if (geteuid() == 0)
        return true;
    printf("not root: namespaces are not tried\n");
    return false;
}

static shmwal_status status(void)
{
    shmwal_status found = {.size = sizeof found};
    SUPPORT_OK(shmwal_get_status(support_log, &found));
    return found;
}

static int fence(shmwal_fencing *fencing)
{
    *fencing = (shmwal_fencing){.size = sizeof *fencing};
    return shmwal_fence(support_log, 0, 0, 60 * SECONDS, fencing);
}

static uint64_t append(void)
{
    uint64_t lsn = 0;
    SUPPORT_OK(shmwal_append(log_, "behind", 6, &lsn));
    return lsn;
}

static void wait_durable(uint64_t lsn)
{
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS));
}

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s", path);
    close(fd);
}

/* Within a child. A user namespace whose root is this one's, if asked for. */
static void leave_namespaces(int flags)
{
    ck_assert_int_eq(unshare(flags), 0);
    if ((flags & CLONE_NEWUSER) != 0) {
        write_file("/proc/self/setgroups", "deny");
        write_file("/proc/self/uid_map", "0 0 1");
        write_file("/proc/self/gid_map", "0 0 1");
    }
    if ((flags & CLONE_NEWNS) != 0)
        ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
}

/* A holder that is process 1 of a new PID namespace: how it knows itself. Its parent hands its pid
 * over and ends, so that it is this process's child. */
static struct holder start_holder_elsewhere(int flags)
{
    struct holder outside;
    int said[2], told[2], pids[2];
    holder_pipes(&outside, said, told);
    ck_assert_int_eq(pipe(pids), 0);
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    pid_t maker = fork();
    if (maker == 0) {
        leave_namespaces(flags | CLONE_NEWPID);
        pid_t inside = fork();
        if (inside == 0)
            holder_run(log_, said, told);
        _exit(write(pids[1], &inside, sizeof inside) == sizeof inside ? 0 : 1);
    }
    close(pids[1]); /* so that there is an end if nothing comes */
    ck_assert_int_eq(read(pids[0], &outside.pid, sizeof outside.pid), sizeof outside.pid);
    holder_await(&outside, said, told);
    ck_assert_int_eq(support_wait(maker), 0);
    return outside;
}

/* ---- Seen from outside ---- */

static void expect_killed_from_outside(int flags)
{
    struct holder holder = start_holder_elsewhere(flags);
    uint64_t lsn = append();
    shmwal_status seen = status();
    ck_assert_int_eq(seen.oldest_pid, holder.pid);
    ck_assert_int_eq(seen.oldest_inner_pid, 1);
    ck_assert_int_eq(seen.oldest_alive, 1);
    holder_stop(&holder);
    shmwal_fencing fencing;
    SUPPORT_OK(fence(&fencing));
    ck_assert_int_eq(fencing.done, SHMWAL_FENCED_KILLED);
    ck_assert_int_eq(fencing.pid, holder.pid);
    ck_assert_int_eq(support_wait(holder.pid), -SIGKILL);
    wait_durable(lsn);
}

START_TEST(process_in_a_pid_namespace_is_named_and_killed_from_outside)
{
    if (may_make_namespaces())
        expect_killed_from_outside(0);
}
END_TEST

START_TEST(process_in_a_user_namespace_is_named_and_killed_from_outside)
{
    if (may_make_namespaces())
        expect_killed_from_outside(CLONE_NEWUSER | CLONE_NEWNS);
}
END_TEST

/* Both are process 1 where they are, of one program, and have the ring at one address perhaps. */
START_TEST(processes_with_one_pid_in_two_namespaces_are_told_apart)
{
    if (!may_make_namespaces())
        return;
    struct holder first = start_holder_elsewhere(0), second = start_holder_elsewhere(0);
    shmwal_fencing fencing;
    SUPPORT_OK(fence(&fencing));
    ck_assert_int_eq(fencing.pid, first.pid);
    ck_assert_int_eq(support_wait(first.pid), -SIGKILL);
    ck_assert(holder_is_alive(&second));
    holder_finish(&second);
    wait_durable(append());
    ck_assert_uint_eq(status().fillers_dead, 1);
}
END_TEST

/* ---- Seen from a place where it cannot be seen ---- */

enum { INSIDE_OK = 0, INSIDE_SEEN = 10, INSIDE_KILLED, INSIDE_OTHER };

/* Within a PID namespace that the holder, process `pid` outside, is not in. */
static int look_from_inside(pid_t pid, int error)
{
    shmwal_fencing fencing;
    shmwal_status seen = {.size = sizeof seen};
    if (shmwal_get_status(support_log, &seen) < 0 || seen.oldest_pid != -1 ||
        seen.oldest_inner_pid != pid || seen.oldest_alive != 1)
        return INSIDE_SEEN;
    int got = fence(&fencing);
    if (got >= 0)
        return INSIDE_KILLED;
    if (got == error && strstr(shmwal_error(), "of another PID namespace") != NULL)
        return INSIDE_OK;
    fprintf(stderr, "%d: %s\n", got, shmwal_error());
    return INSIDE_OTHER;
}

static void expect_nobody_killed_from_inside(bool own_proc, int error)
{
    struct holder holder = holder_start(log_);
    pid_t maker = fork();
    if (maker == 0) {
        leave_namespaces(CLONE_NEWPID | CLONE_NEWNS);
        pid_t inside = fork();
        if (inside == 0 && own_proc && mount("proc", "/proc", "proc", 0, NULL) < 0)
            _exit(1);
        if (inside == 0)
            _exit(look_from_inside(holder.pid, error));
        _exit(support_wait(inside));
    }
    ck_assert_int_eq(support_wait(maker), INSIDE_OK);
    ck_assert(holder_is_alive(&holder));
    holder_finish(&holder);
    wait_durable(append());
}

START_TEST(process_outside_of_the_namespace_is_not_killed_from_within)
{
    if (may_make_namespaces())
        expect_nobody_killed_from_inside(true, -ESRCH);
}
END_TEST

/* There a number in /proc is another process's than the same number in a call. */
START_TEST(proc_of_another_namespace_is_not_believed)
{
    if (may_make_namespaces())
        expect_nobody_killed_from_inside(false, -ENOENT);
}
END_TEST

/* ---- Who is alive, whatever the pids ---- */

START_TEST(death_in_a_pid_namespace_is_noticed_outside)
{
    if (!may_make_namespaces())
        return;
    struct holder holder = start_holder_elsewhere(CLONE_NEWUSER | CLONE_NEWNS);
    uint64_t lsn = append();
    holder_kill(&holder);
    wait_durable(lsn);
    ck_assert_uint_eq(status().fillers_dead, 1);
}
END_TEST

START_TEST(reservation_in_a_pid_namespace_goes_on)
{
    if (!may_make_namespaces())
        return;
    struct holder holder = start_holder_elsewhere(0);
    uint64_t lsn = append();
    holder_stop(&holder);
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, SECONDS / 10), -ETIMEDOUT);
    holder_finish(&holder);
    wait_durable(lsn);
    ck_assert_uint_eq(status().fillers_dead, 0);
}
END_TEST

/* ---- Two containers that share the directory and /dev/shm, and nothing else ---- */

/* Within a child: a container with `shared` on its /dev/shm; its first process is `run`. */
static int run_container(const char *shared, int (*run)(const int pipes[2]), const int pipes[2])
{
    leave_namespaces(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID);
    ck_assert_int_eq(mount(shared, "/dev/shm", NULL, MS_BIND, NULL), 0);
    pid_t first = fork();
    if (first == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (mount("proc", "/proc", "proc", 0, NULL) < 0)
            _exit(2);
        _exit(run(pipes));
    }
    return support_wait(first);
}

/* The one whose process dies between reserve and commit, when it has been told that the other one's
 * flusher runs. */
static int die_with_a_reservation(const int pipes[2])
{
    shmwal_slot slot;
    char byte;
    if (read(pipes[0], &byte, 1) != 1)
        return 3;
    shmwal *log = support_open(SHMWAL_NO_FLUSHER);
    if (shmwal_reserve(log, 1, &slot) < 0 || write(pipes[1], "r", 1) != 1)
        return 4;
    return read(pipes[0], &byte, 1) == 1 ? 0 : 5; /* as a crash would: nothing is closed */
}

/* The one that has the flusher, and whose record is behind it. */
static int wait_for_what_is_behind(const int pipes[2])
{
    uint64_t lsn = 0;
    char byte;
    shmwal *log = support_open(0);
    if (shmwal_append(log, "first", 5, &lsn) < 0 ||
        shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS) < 0 || write(pipes[1], "f", 1) != 1 ||
        read(pipes[0], &byte, 1) != 1)
        return 3;
    if (shmwal_append(log, "behind", 6, &lsn) < 0 ||
        shmwal_wait(log, lsn, SHMWAL_DURABLE, SECONDS / 10) != -ETIMEDOUT)
        return 4;
    shmwal_fencing fencing;
    if (fence(&fencing) >= 0 || strstr(shmwal_error(), "of another PID namespace") == NULL)
        return 5;
    if (write(pipes[1], "d", 1) != 1 || shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS) < 0)
        return 6;
    if (status().fillers_dead != 1 || shmwal_close(log) < 0)
        return 7;
    return shmwal_stop(support_log, 60 * SECONDS) < 0 ? 8 : 0;
}

/* Within a child, whose mounts are its own. */
static int run_two_containers(void)
{
    char shared[sizeof support_directory + 8];
    int one[2], two[2];
    leave_namespaces(CLONE_NEWNS);
    snprintf(shared, sizeof shared, "%s/shm", support_directory);
    if (mkdir(shared, 0755) < 0 || mount("tmpfs", shared, "tmpfs", 0, "mode=1777") < 0)
        return 1;
    ck_assert_int_eq(pipe(one) | pipe(two), 0);
    pid_t dying = fork();
    if (dying == 0)
        _exit(run_container(shared, die_with_a_reservation, (int[]){one[0], two[1]}));
    pid_t waiting = fork();
    if (waiting == 0)
        _exit(run_container(shared, wait_for_what_is_behind, (int[]){two[0], one[1]}));
    int results[] = {support_wait(waiting), 0};
    for (int i = 0; i < 2; i++) /* so that the other one ends in any case */
        results[1] |= write(one[1], "x", 1) != 1;
    int died = support_wait(dying);
    if (results[0] != 0 || died != 0)
        fprintf(stderr, "the one that waits: %d, the one that dies: %d\n", results[0], died);
    return results[0] != 0 || results[1] != 0 || died != 0;
}

START_TEST(containers_that_share_directory_and_memory_notice_each_others_deaths)
{
    if (!may_make_namespaces())
        return;
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    shmwal_close(log_);
    log_ = NULL;
    remove_tree(support_log);
    pid_t child = fork();
    if (child == 0)
        _exit(run_two_containers());
    ck_assert_int_eq(support_wait(child), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("namespaces");
    TCase *cases = tcase_create("namespaces");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, process_in_a_pid_namespace_is_named_and_killed_from_outside);
    tcase_add_test(cases, process_in_a_user_namespace_is_named_and_killed_from_outside);
    tcase_add_test(cases, processes_with_one_pid_in_two_namespaces_are_told_apart);
    tcase_add_test(cases, process_outside_of_the_namespace_is_not_killed_from_within);
    tcase_add_test(cases, proc_of_another_namespace_is_not_believed);
    tcase_add_test(cases, death_in_a_pid_namespace_is_noticed_outside);
    tcase_add_test(cases, reservation_in_a_pid_namespace_goes_on);
    tcase_add_test(cases, containers_that_share_directory_and_memory_notice_each_others_deaths);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
