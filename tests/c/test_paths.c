/* SPDX-License-Identifier: MIT
 *
 * The log's path and what stands on it: links, other users, odd names, modes, limits, and a
 * directory that goes away. Nothing is followed, and nothing opened wider than asked. What needs
 * root passes without it. */
#include "support.h"

#include "region/shm.h"
#include "sys/fork.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { NOBODY = 65534 };

static void setup(void)
{
    support_setup();
}

static void teardown(void)
{
    support_teardown();
}

static const char *at(const char *name) /* in the test's directory; valid for four calls */
{
    static char paths[4][200];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", support_directory, name);
    return path;
}

static int open_at(const char *path, uint32_t flags, shmwal **log)
{
    shmwal_options options = support_options(flags);
    return shmwal_open(path, &options, log);
}

/* Opens, appends, has it durable, closes. */
static int use(const char *path)
{
    shmwal *log;
    uint64_t lsn;
    int error = open_at(path, 0, &log);
    if (error < 0)
        return error;
    error = shmwal_append(log, "x", 1, &lsn);
    if (error == 0)
        error = shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS);
    shmwal_close(log);
    return error;
}

static void stop(const char *path)
{
    SUPPORT_OK(shmwal_stop(path, 60 * SECONDS));
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void expect_contents(const char *path, const char *text)
{
    char found[100] = {0};
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fread(found, 1, sizeof found - 1, file), strlen(text));
    fclose(file);
    ck_assert_str_eq(found, text);
}

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* ---- Links inside the log ---- */

static const char *const inner[] = {"log/meta", "log/lock", "log/segments",
                                    "log/segments/0000000000000000.seg"};
enum { INNER = 4, TARGETS = 5 };

static void put_in_place(const char *name, int target)
{
    const char *const targets[] = {at("nowhere"), at("victim"), "/dev/zero", support_directory};
    char aside[200];
    snprintf(aside, sizeof aside, "%s", at("aside"));
    ck_assert_int_eq(rename(at(name), aside), 0);
    int error = target < 4 ? symlink(targets[target], at(name)) : mkfifo(at(name), 0600);
    ck_assert_int_eq(error, 0);
}

/* Each in its place a link to nothing, to a file, a device, a directory; and a FIFO. */
START_TEST(link_or_fifo_inside_a_log_is_refused_and_not_followed)
{
    shmwal *log;
    shmwal_verification found = {.size = sizeof found};
    const char *name = inner[_i / TARGETS];
    write_file(at("victim"), "untouched");
    SUPPORT_OK(use(support_log));
    stop(support_log);
    put_in_place(name, _i % TARGETS);
    ck_assert_int_lt(open_at(support_log, 0, &log), 0);
    ck_assert_uint_gt(strlen(shmwal_error()), 20);
    bool needed = strcmp(name, "log/lock") != 0; /* to read */
    int error = shmwal_verify(support_log, &found, NULL, NULL);
    if (needed)
        ck_assert(error < 0 || found.damaged);
    expect_contents(at("victim"), "untouched");
    ck_assert(!exists(at("nowhere")));
    ck_assert_int_eq(unlink(at(name)), 0);
    ck_assert_int_eq(rename(at("aside"), at(name)), 0);
    SUPPORT_OK(use(support_log));
}
END_TEST

START_TEST(links_where_files_are_made_are_not_followed)
{
    write_file(at("victim"), "untouched");
    ck_assert_int_eq(mkdir(support_log, 0700), 0);
    ck_assert_int_eq(symlink(at("victim"), at("log/meta.tmp")), 0);
    ck_assert_int_eq(symlink(at("victim"), at("log/flusher.log")), 0);
    SUPPORT_OK(use(support_log));
    stop(support_log);
    ck_assert_int_eq(symlink(at("victim"), at("log/segments/next.tmp")), 0);
    ck_assert_int_eq(symlink(at("victim"), at("log/segments/next.spare")), 0);
    SUPPORT_OK(use(support_log));
    expect_contents(at("victim"), "untouched");
}
END_TEST

/* The inner directory turns into a link and back all the time. */
static void swap_for_ever(void)
{
    for (;;)
        renameat2(AT_FDCWD, at("log/segments"), AT_FDCWD, at("link"), RENAME_EXCHANGE);
}

START_TEST(link_that_comes_and_goes_is_never_followed)
{
    shmwal *log;
    int opened = 0;
    SUPPORT_OK(shmwal_create(support_log, NULL));
    ck_assert_int_eq(mkdir(at("elsewhere"), 0700), 0);
    ck_assert_int_eq(symlink(at("elsewhere"), at("link")), 0);
    pid_t child = fork();
    if (child == 0)
        swap_for_ever();
    for (int i = 0; i < 300; i++) {
        int error = open_at(support_log, SHMWAL_NO_FLUSHER, &log);
        if (error == 0)
            shmwal_close(log);
        opened += error == 0;
    }
    kill(child, SIGKILL);
    support_wait(child);
    ck_assert_int_eq(rmdir(at("elsewhere")), 0); /* nothing was put there */
    if (unlink(at("log/segments")) == 0)
        ck_assert_int_eq(rename(at("link"), at("log/segments")), 0);
    ck_assert_int_gt(opened, 0);
    SUPPORT_OK(use(support_log));
}
END_TEST

/* The log itself may be reached by a link: it lies on another disk, perhaps. */
START_TEST(link_to_a_log_is_followed_and_its_own_path_told)
{
    shmwal *log;
    char *real = realpath(support_directory, NULL), path[200];
    SUPPORT_OK(shmwal_create(support_log, NULL));
    ck_assert_int_eq(symlink(support_log, at("link")), 0);
    SUPPORT_OK(open_at(at("link"), 0, &log));
    snprintf(path, sizeof path, "%s/log", real);
    free(real);
    ck_assert_str_eq(shmwal_path(log), path);
    shmwal_close(log);
    ck_assert_int_eq(symlink(at("nowhere"), at("dangling")), 0);
    ck_assert_int_lt(open_at(at("dangling"), 0, &log), 0);
    ck_assert(!exists(at("nowhere")));
    ck_assert_int_eq(symlink(at("loop"), at("loop")), 0);
    ck_assert_int_eq(open_at(at("loop"), 0, &log), -ELOOP);
}
END_TEST

/* ---- Hard links ---- */

static void copy_by_links(void)
{
    char command[600];
    snprintf(command, sizeof command, "cp -al '%s' '%s'", support_log, at("copy"));
    ck_assert_int_eq(system(command), 0);
}

/* Through some segments, so that the one that both have is left. */
static uint64_t append_much(const char *path)
{
    static const char big[16 * 1024];
    shmwal *log;
    uint64_t lsn = 0;
    SUPPORT_OK(open_at(path, 0, &log));
    for (int i = 0; i < 40; i++)
        SUPPORT_OK(shmwal_append_for(log, big, sizeof big, SHMWAL_BYTES, 60 * SECONDS, &lsn));
    SUPPORT_OK(shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS));
    SUPPORT_OK(shmwal_close(log));
    stop(path);
    return lsn;
}

static void expect_intact(const char *path, uint64_t records, uint64_t lsn)
{
    shmwal_verification found = {.size = sizeof found};
    SUPPORT_OK(shmwal_verify(path, &found, NULL, NULL));
    ck_assert(!found.damaged && !found.torn);
    ck_assert_uint_eq(found.records, records);
    ck_assert_uint_eq(found.last_lsn, lsn);
}

/* A copy shares its files with the log, and what is appended to the one is not in the other. */
START_TEST(copy_by_hard_links_and_its_log_do_not_harm_each_other)
{
    uint64_t first = append_much(support_log);
    copy_by_links();
    uint64_t copy_end = append_much(at("copy"));
    expect_intact(support_log, 40, first);
    expect_intact(at("copy"), 80, copy_end);
    SUPPORT_OK(use(support_log));
    stop(support_log);
    expect_intact(support_log, 41, first + 64);
    expect_intact(at("copy"), 80, copy_end);
}
END_TEST

/* The lock file is one of those that they share. */
START_TEST(copy_by_hard_links_is_not_used_while_its_log_is)
{
    shmwal *log, *copy;
    SUPPORT_OK(open_at(support_log, 0, &log));
    copy_by_links();
    ck_assert_int_eq(open_at(at("copy"), 0, &copy), -EBUSY);
    shmwal_close(log);
    stop(support_log);
    SUPPORT_OK(use(at("copy")));
    ck_assert_int_eq(open_at(support_log, 0, &log), -EBUSY);
    stop(at("copy"));
    SUPPORT_OK(use(support_log));
}
END_TEST

/* ---- Odd paths ---- */

static const char *const odd[] = {"new\nline", "a blank",  "\xff\xfe\x80", "'quotes\"$(x)",
                                  "-dash",     "%s%n",     "log/",         "log//",
                                  "./log",     "a/../log", "a/b/c"};
enum { ODD = sizeof odd / sizeof *odd };

START_TEST(odd_path_is_as_good_as_any)
{
    char path[200];
    ck_assert_int_eq(mkdir(at("a"), 0700), 0);
    snprintf(path, sizeof path, "%s", at(odd[_i]));
    SUPPORT_OK(use(path));
    SUPPORT_OK(use(path));
    stop(path);
}
END_TEST

START_TEST(path_that_cannot_be_is_refused)
{
    static char longest[PATH_MAX + 10];
    shmwal *log;
    memset(longest, 'x', sizeof longest - 1);
    longest[0] = '/';
    ck_assert_int_eq(open_at("", 0, &log), -ENOENT);
    ck_assert_int_eq(open_at(longest, 0, &log), -ENAMETOOLONG);
    longest[300] = 0;
    ck_assert_int_eq(open_at(longest, 0, &log), -ENAMETOOLONG); /* a name of that length */
    write_file(at("file"), "");
    ck_assert_int_eq(open_at(at("file/log"), 0, &log), -ENOTDIR);
    ck_assert_int_eq(open_at("/dev/null", 0, &log), -ENOTDIR);
}
END_TEST

/* Longer than any buffer that was made for a sentence. */
START_TEST(path_as_long_as_the_system_takes_it_works)
{
    char path[PATH_MAX];
    size_t used = (size_t)snprintf(path, sizeof path, "%s", support_directory);
    while (used < PATH_MAX - 300) {
        path[used++] = '/';
        memset(path + used, 'd', 200);
        used += 200;
        path[used] = 0;
    }
    SUPPORT_OK(use(path));
    stop(path);
}
END_TEST

/* What the path meant when the log was opened counts, in children too. */
START_TEST(relative_path_survives_a_change_of_directory)
{
    shmwal *log;
    ck_assert_int_eq(chdir(support_directory), 0);
    SUPPORT_OK(open_at("log", 0, &log));
    ck_assert_int_eq(chdir("/"), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(shmwal_append(log, "child", 5, NULL) == 0 ? 0 : 1);
    ck_assert_int_eq(support_wait(child), 0);
    SUPPORT_OK(shmwal_wait(log, shmwal_reserved_lsn(log), SHMWAL_DURABLE, 60 * SECONDS));
    shmwal_close(log);
}
END_TEST

START_TEST(relative_path_in_a_directory_that_is_gone_is_refused)
{
    shmwal *log;
    ck_assert_int_eq(mkdir(at("gone"), 0700), 0);
    ck_assert_int_eq(chdir(at("gone")), 0);
    ck_assert_int_eq(rmdir(at("gone")), 0);
    ck_assert_int_eq(open_at("log", 0, &log), -ENOENT);
    ck_assert_int_eq(open_at(".", 0, &log), -ENOENT);
    ck_assert_int_eq(chdir("/"), 0);
}
END_TEST

START_TEST(path_of_a_descriptor_is_the_log_s)
{
    shmwal *one, *other;
    char path[40];
    SUPPORT_OK(open_at(support_log, 0, &one));
    int fd = open(support_log, O_PATH | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    SUPPORT_OK(open_at(path, 0, &other));
    close(fd);
    ck_assert_str_eq(shmwal_path(one), shmwal_path(other));
    SUPPORT_OK(shmwal_append(other, "x", 1, NULL));
    ck_assert_uint_eq(shmwal_reserved_lsn(one), 64);
    shmwal_close(one);
    shmwal_close(other);
}
END_TEST

/* In a mount namespace of its own. */
static int use_bind_mount(void)
{
    shmwal *one, *other;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount(support_log, at("mounted"), NULL, MS_BIND, NULL) < 0)
        return 77;
    if (open_at(support_log, 0, &one) < 0 || open_at(at("mounted"), 0, &other) < 0)
        return 1;
    if (shmwal_append(other, "x", 1, NULL) < 0 || shmwal_reserved_lsn(one) != 64)
        return 2;
    return shmwal_close(one) < 0 || shmwal_close(other) < 0 ? 3 : 0;
}

START_TEST(bind_mount_of_a_log_is_the_same_log)
{
    SUPPORT_OK(shmwal_create(support_log, NULL));
    ck_assert_int_eq(mkdir(at("mounted"), 0700), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(use_bind_mount());
    int status = support_wait(child);
    ck_assert_msg(status == 0 || status == 77, "exit %d", status);
}
END_TEST

/* ---- Modes ---- */

static void expect_mode(const char *path, mode_t mode)
{
    struct stat status;
    ck_assert_msg(lstat(path, &status) == 0, "%s", path);
    ck_assert_msg((status.st_mode & 07777) == mode, "%s has mode %o", path, status.st_mode);
}

START_TEST(modes_are_the_same_under_any_umask)
{
    static const mode_t masks[] = {0, 0777, 0277, 022};
    struct directory directory;
    char name[SHM_NAME_BYTES], path[SHM_NAME_BYTES + 16];
    shmwal *log;
    mode_t before = umask(masks[_i]);
    int error = use(support_log);
    umask(before);
    ck_assert_msg(error == 0, "%s", shmwal_error());
    expect_mode(support_log, 0700);
    expect_mode(at("log/segments"), 0700);
    expect_mode(at("log/cursors"), 0700);
    expect_mode(at("log/meta"), 0600);
    expect_mode(at("log/lock"), 0600);
    expect_mode(at("log/flusher.log"), 0600);
    expect_mode(at("log/segments/0000000000000000.seg"), 0600);
    SUPPORT_OK(open_at(support_log, 0, &log));
    SUPPORT_OK(directory_open(support_log, false, &directory));
    for (int i = 0; i < 2; i++) {
        shm_object_name(&directory, i == 0 ? SHM_RING : SHM_STATE, name);
        snprintf(path, sizeof path, "/dev/shm%s", name);
        expect_mode(path, 0600);
    }
    directory_close(&directory);
    shmwal_close(log);
}
END_TEST

/* ---- Other users ---- */

static bool become_nobody(void)
{
    return setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
}

/* As root: what `act` says as another user, who may look into the test's directory. */
static void as_nobody(int (*act)(void))
{
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chmod(support_directory, 0777), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(become_nobody() ? act() : 77);
    ck_assert_int_eq(support_wait(child), 0);
}

static int is_refused_everything(void)
{
    shmwal *log;
    shmwal_reader *reader;
    shmwal_status status = {.size = sizeof status};
    shmwal_verification found = {.size = sizeof found};
    shmwal_fencing fencing = {.size = sizeof fencing};
    if (open_at(support_log, 0, &log) != -EACCES || shmwal_create(support_log, NULL) != -EACCES)
        return 1;
    if (shmwal_reader_open(support_log, 0, &reader) != -EACCES)
        return 2;
    if (shmwal_get_status(support_log, &status) != -EACCES ||
        shmwal_verify(support_log, &found, NULL, NULL) != -EACCES)
        return 3;
    if (shmwal_stop(support_log, 0) != -EACCES ||
        shmwal_fence(support_log, 0, 0, 0, &fencing) != -EACCES)
        return 4;
    return 0;
}

START_TEST(log_of_another_user_is_refused_in_every_call)
{
    SUPPORT_OK(use(support_log));
    as_nobody(is_refused_everything);
}
END_TEST

/* A server that opens its log as root and then becomes somebody else keeps what it has. */
START_TEST(handle_works_on_when_the_process_gives_up_its_privileges)
{
    if (geteuid() != 0)
        return;
    pid_t child = fork();
    if (child == 0) {
        shmwal *log;
        uint64_t lsn;
        if (open_at(support_log, 0, &log) < 0 || !become_nobody())
            _exit(1);
        if (shmwal_append(log, "x", 1, &lsn) < 0 ||
            shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS) < 0)
            _exit(2);
        _exit(shmwal_close(log) == 0 ? 0 : 3);
    }
    ck_assert_int_eq(support_wait(child), 0);
}
END_TEST

/* ---- Names in shared memory that others have taken ---- */

static struct directory directory;
static char names[2][SHM_NAME_BYTES];

static int squat_with_objects(void)
{
    for (int i = 0; i < 2; i++) {
        int fd = shm_open(names[i], O_CREAT | O_EXCL | O_RDWR, 0666);
        if (fd < 0 || fchmod(fd, 0666) < 0 || ftruncate(fd, 4 << 20) < 0)
            return 1;
    }
    return 0;
}

static int squat_with_state(void)
{
    int fd = shm_open(names[1], O_CREAT | O_EXCL | O_RDWR, 0666);
    return fd < 0 || fchmod(fd, 0666) < 0 || ftruncate(fd, 4 << 20) < 0;
}

static int squat_with_link(void)
{
    char path[SHM_NAME_BYTES + 16];
    snprintf(path, sizeof path, "/dev/shm%s", names[0]);
    return symlink(at("victim"), path) < 0;
}

static int squat_with_fifo(void)
{
    char path[SHM_NAME_BYTES + 16];
    snprintf(path, sizeof path, "/dev/shm%s", names[0]);
    return mkfifo(path, 0666) < 0;
}

/* A log that another user has prepared a ring for is not used through that. */
START_TEST(ring_that_another_user_has_put_there_is_refused)
{
    int (*const squats[])(void) = {squat_with_objects, squat_with_state, squat_with_link,
                                   squat_with_fifo};
    shmwal *log = NULL;
    if (geteuid() != 0)
        return;
    write_file(at("victim"), "untouched");
    SUPPORT_OK(shmwal_create(support_log, NULL));
    SUPPORT_OK(directory_open(support_log, false, &directory));
    shm_object_name(&directory, SHM_RING, names[0]);
    shm_object_name(&directory, SHM_STATE, names[1]);
    as_nobody(squats[_i]);
    int error = open_at(support_log, 0, &log);
    if (error == 0) /* only a state without a ring, which root may remove */
        shmwal_close(log);
    else
        shm_remove(&directory);
    ck_assert_int_eq(error == 0, squats[_i] == squat_with_state);
    expect_contents(at("victim"), "untouched");
    SUPPORT_OK(use(support_log));
    directory_close(&directory);
}
END_TEST

/* ---- Set-id programs ---- */

static void copy_program(const char *from, const char *to, mode_t mode)
{
    char command[1200];
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    ck_assert_int_eq(system(command), 0);
    ck_assert_int_eq(chmod(to, mode), 0);
}

static int append_by_a_set_id_program(void)
{
    char evil[200], program[200], log[200];
    snprintf(evil, sizeof evil, "%s", at("evil/duralog-flusher"));
    snprintf(program, sizeof program, "%s", at("bin/duralog"));
    snprintf(log, sizeof log, "%s", at("roots"));
    setenv("DURALOG_FLUSHER", evil, 1);
    setenv("PATH", at("evil"), 1);
    setenv("NOTIFY_SOCKET", at("socket"), 1);
    dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
    execl(program, "duralog", "append", log, "/dev/null", NULL);
    return 1;
}

/* What the caller's environment names is not run with the program's rights. */
START_TEST(set_id_program_takes_no_program_from_the_environment)
{
    char tool[600];
    shmwal_status status = {.size = sizeof status};
    if (geteuid() != 0)
        return;
    snprintf(tool, sizeof tool, "%s", getenv("DURALOG_FLUSHER"));
    ck_assert_int_eq(mkdir(at("bin"), 0755), 0);
    ck_assert_int_eq(mkdir(at("evil"), 0755), 0);
    copy_program(tool, at("bin/duralog-flusher"), 0755);
    *strrchr(tool, '-') = 0;
    copy_program(tool, at("bin/duralog"), 04755);
    char script[300];
    snprintf(script, sizeof script, "#!/bin/sh\n/bin/touch %s\n", at("run"));
    write_file(at("evil/duralog-flusher"), script);
    ck_assert_int_eq(chmod(at("evil/duralog-flusher"), 0755), 0);
    as_nobody(append_by_a_set_id_program);
    ck_assert(!exists(at("run")));
    SUPPORT_OK(shmwal_get_status(at("roots"), &status));
    ck_assert_int_eq(status.state, SHMWAL_STATE_OK);
    stop(at("roots"));
}
END_TEST

/* ---- Limits ---- */

static rlim_t limit(int resource, rlim_t value)
{
    struct rlimit now;
    ck_assert_int_eq(getrlimit((__rlimit_resource_t)resource, &now), 0);
    rlim_t before = now.rlim_cur;
    now.rlim_cur = value;
    ck_assert_int_eq(setrlimit((__rlimit_resource_t)resource, &now), 0);
    return before;
}

static int open_descriptors(void)
{
    int open = 0;
    for (int fd = 0; fd < 1024; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    return open;
}

START_TEST(open_with_few_descriptors_works_or_says_so_and_leaks_none)
{
    shmwal *log;
    bool refused = false, opened = false;
    SUPPORT_OK(use(support_log));
    int used = open_descriptors();
    for (int allowed = used; allowed < used + 16; allowed++) {
        rlim_t before = limit(RLIMIT_NOFILE, (rlim_t)allowed);
        int error = open_at(support_log, 0, &log);
        if (error == 0)
            shmwal_close(log);
        limit(RLIMIT_NOFILE, before);
        ck_assert_msg(error == 0 || error == -EMFILE, "%d: %s", error, shmwal_error());
        refused = refused || error < 0;
        opened = opened || error == 0;
        ck_assert_int_eq(open_descriptors(), used);
    }
    ck_assert(refused && opened);
}
END_TEST

START_TEST(open_without_memory_says_so_and_leaves_nothing)
{
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
    shmwal *log;
    shmwal_options options = support_options(0);
    options.ring_bytes = 64 << 20;
    SUPPORT_OK(shmwal_create(support_log, &options));
    int used = open_descriptors();
    rlim_t before = limit(RLIMIT_AS, 96 << 20); /* this program fits, the ring twice does not */
    int error = open_at(support_log, 0, &log);
    limit(RLIMIT_AS, before);
    ck_assert_int_eq(error, -ENOMEM);
    ck_assert_int_eq(open_descriptors(), used);
    SUPPORT_OK(use(support_log));
#endif
}
END_TEST

START_TEST(locked_memory_is_not_needed)
{
    rlim_t before = limit(RLIMIT_MEMLOCK, 0);
    int error = use(support_log);
    limit(RLIMIT_MEMLOCK, before);
    ck_assert_msg(error == 0, "%s", shmwal_error());
}
END_TEST

static int open_without_processes(void)
{
    shmwal *log;
    struct rlimit none = {0, 0};
    if (setrlimit(RLIMIT_NPROC, &none) < 0)
        return 1;
    int error = open_at(at("theirs"), 0, &log);
    return error == -ENOEXEC && strstr(shmwal_error(), "cannot be started") != NULL ? 0 : 2;
}

START_TEST(open_that_may_start_no_process_says_so)
{
    as_nobody(open_without_processes);
}
END_TEST

/* ---- A directory that goes away ---- */

static int append_in_child(shmwal *log)
{
    pid_t child = fork();
    if (child == 0)
        _exit(-shmwal_append(log, "child", 5, NULL));
    return -support_wait(child);
}

START_TEST(renamed_directory_is_the_same_log_to_who_has_it_open)
{
    shmwal *log;
    uint64_t lsn;
    SUPPORT_OK(open_at(support_log, 0, &log));
    ck_assert_int_eq(rename(support_log, at("moved")), 0);
    SUPPORT_OK(shmwal_append(log, "x", 1, &lsn));
    SUPPORT_OK(shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS));
    ck_assert_int_eq(append_in_child(log), -ENOENT);
    SUPPORT_OK(use(support_log)); /* another log, made there since */
    stop(support_log);
    ck_assert_int_eq(append_in_child(log), -ESTALE);
    remove_tree(support_log);
    ck_assert_int_eq(rename(at("moved"), support_log), 0);
    ck_assert_int_eq(append_in_child(log), 0);
    shmwal_close(log);
}
END_TEST

/* Its flusher ends when the last handle is closed, and the ring with it. */
START_TEST(removed_directory_leaves_no_ring_behind)
{
    shmwal *log;
    uint64_t lsn;
    int fd;
    SUPPORT_OK(open_at(support_log, 0, &log));
    SUPPORT_OK(directory_open(support_log, false, &directory));
    SUPPORT_OK(shmwal_append(log, "x", 1, &lsn));
    SUPPORT_OK(shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS));
    remove_tree(support_log);
    SUPPORT_OK(shmwal_append(log, "x", 1, &lsn));
    SUPPORT_OK(shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS)); /* into files without names */
    SUPPORT_OK(shmwal_close(log));
    while ((fd = shm_object_open(&directory, SHM_RING, false)) >= 0) {
        sys_fork_close(fd);
        usleep(1000);
    }
    ck_assert_int_eq(fd, -ENOENT);
    directory_close(&directory);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("paths");
    TCase *cases = tcase_create("paths");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, link_or_fifo_inside_a_log_is_refused_and_not_followed, 0,
                        INNER * TARGETS);
    tcase_add_test(cases, links_where_files_are_made_are_not_followed);
    tcase_add_test(cases, link_that_comes_and_goes_is_never_followed);
    tcase_add_test(cases, link_to_a_log_is_followed_and_its_own_path_told);
    tcase_add_test(cases, copy_by_hard_links_and_its_log_do_not_harm_each_other);
    tcase_add_test(cases, copy_by_hard_links_is_not_used_while_its_log_is);
    tcase_add_loop_test(cases, odd_path_is_as_good_as_any, 0, ODD);
    tcase_add_test(cases, path_that_cannot_be_is_refused);
    tcase_add_test(cases, path_as_long_as_the_system_takes_it_works);
    tcase_add_test(cases, relative_path_survives_a_change_of_directory);
    tcase_add_test(cases, relative_path_in_a_directory_that_is_gone_is_refused);
    tcase_add_test(cases, path_of_a_descriptor_is_the_log_s);
    tcase_add_test(cases, bind_mount_of_a_log_is_the_same_log);
    tcase_add_loop_test(cases, modes_are_the_same_under_any_umask, 0, 4);
    tcase_add_test(cases, log_of_another_user_is_refused_in_every_call);
    tcase_add_test(cases, handle_works_on_when_the_process_gives_up_its_privileges);
    tcase_add_loop_test(cases, ring_that_another_user_has_put_there_is_refused, 0, 4);
    tcase_add_test(cases, set_id_program_takes_no_program_from_the_environment);
    tcase_add_test(cases, open_with_few_descriptors_works_or_says_so_and_leaks_none);
    tcase_add_test(cases, open_without_memory_says_so_and_leaves_nothing);
    tcase_add_test(cases, locked_memory_is_not_needed);
    tcase_add_test(cases, open_that_may_start_no_process_says_so);
    tcase_add_test(cases, renamed_directory_is_the_same_log_to_who_has_it_open);
    tcase_add_test(cases, removed_directory_leaves_no_ring_behind);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
