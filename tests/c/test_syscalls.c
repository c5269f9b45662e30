/* SPDX-License-Identifier: MIT
 *
 * Counts the system calls of an append, by tracing a child between two calls that mark the
 * stretch. */
#include "region/layout.h"
#include "region/view.h"
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

/* What marks the stretch: a call that nothing in the library makes. */
#define MARK() syscall(SYS_getppid)

#if defined(__x86_64__)
static long traced_call(pid_t child)
{
    struct user_regs_struct registers;
    ck_assert_int_eq(ptrace(PTRACE_GETREGS, child, NULL, &registers), 0);
    return (long)registers.orig_rax;
}
#else
#include <elf.h>
#include <sys/uio.h>
static long traced_call(pid_t child)
{
    struct user_regs_struct registers;
    struct iovec parts = {&registers, sizeof registers};
    ck_assert_int_eq(ptrace(PTRACE_GETREGSET, child, (void *)NT_PRSTATUS, &parts), 0);
    return (long)registers.regs[8];
}
#endif

/* Runs `body` in a traced child and counts its calls between the marks; `*futexes` of them were
 * futex. */
static int count_calls(void (*body)(void), int *futexes)
{
    int marks = 0, calls = 0, status;
    bool entering = true;
    pid_t child = fork();
    if (child == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        raise(SIGSTOP);
        body();
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD), 0);
    *futexes = 0;
    for (int signal = 0;; signal = 0) {
        ck_assert_int_eq(ptrace(PTRACE_SYSCALL, child, NULL, signal), 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) || WIFSIGNALED(status))
            break;
        if (WSTOPSIG(status) != (SIGTRAP | 0x80))
            continue;
        long number = traced_call(child);
        if (entering && number == SYS_getppid)
            marks++;
        else if (entering && marks == 1) {
            calls++;
            *futexes += number == SYS_futex;
        }
        entering = !entering;
    }
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: %x", status);
    ck_assert_int_eq(marks, 2);
    return calls;
}

static void append_a_thousand(void)
{
    shmwal *log;
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    options.flags = SHMWAL_NO_FLUSHER;
    char bytes[100] = {0};
    if (shmwal_open(support_log, &options, &log) < 0 || shmwal_append(log, bytes, 100, NULL) < 0)
        _exit(1);
    MARK();
    for (int i = 0; i < 1000; i++)
        if (shmwal_append(log, bytes, sizeof bytes, NULL) < 0)
            _exit(1);
    for (int i = 0; i < 1000; i++) {
        shmwal_slot slot;
        if (shmwal_reserve(log, 100, &slot) < 0 || shmwal_commit(log, &slot, NULL) < 0)
            _exit(1);
    }
    shmwal_lsn(log, SHMWAL_DURABLE);
    shmwal_lsn(log, SHMWAL_COMMITTED);
    MARK();
    shmwal_close(log);
}

START_TEST(append_makes_no_system_call)
{
    int futexes;
    ck_assert_int_eq(count_calls(append_a_thousand, &futexes), 0);
}
END_TEST

/* Until the flusher says that it sleeps. */
static void await_sleep(void)
{
    struct directory directory;
    struct region_view view;
    if (directory_open(support_log, false, &directory) < 0 ||
        region_view_open(&directory, &view) < 0)
        _exit(1);
    while (atomic_load(&view.control->awaited) == 0)
        usleep(1000);
    region_view_close(&view);
    directory_close(&directory);
}

static void append_one_to_an_idle_flusher(void)
{
    shmwal *log;
    uint64_t lsn;
    if (shmwal_open(support_log, NULL, &log) < 0 || shmwal_append(log, "x", 1, &lsn) < 0 ||
        shmwal_wait(log, lsn, SHMWAL_DURABLE, -1) < 0)
        _exit(1);
    await_sleep();
    MARK();
    if (shmwal_append(log, "x", 1, NULL) < 0)
        _exit(1);
    MARK();
    shmwal_close(log);
}

START_TEST(append_that_wakes_an_idle_flusher_makes_one_futex_call)
{
    int futexes;
    int calls = count_calls(append_one_to_an_idle_flusher, &futexes);
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(futexes, 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("syscalls");
    TCase *cases = tcase_create("syscalls");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, support_setup, support_teardown);
    tcase_add_test(cases, append_makes_no_system_call);
    tcase_add_test(cases, append_that_wakes_an_idle_flusher_makes_one_futex_call);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
