/* SPDX-License-Identifier: MIT
 * See launch.h.
 *
 * The program must not notice. It makes a child by clone with no exit signal, which its SIGCHLD
 * handler and its wait(-1) never see; that makes the flusher's process and ends at once, so that it
 * is not the program's child either (exec gives a child its exit signal back). Both share our
 * memory until exec, as vfork's child does. The flusher answers through a pipe: "0" when it or
 * another one serves, else "ERRNO SUBJECT SENTENCE". A pipe that closes without an answer means
 * that it died.
 *
 * REJECTED. fork: copies the page tables of a large program. posix_spawn: its child raises
 * SIGCHLD. */
#include "producer/launch.h"

#include "base/error.h"
#include "sys/clock.h"
#include "sys/thread.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 64 * 1024, ANSWER_BYTES = 1024 };

/* How long a flusher may take until it serves; and how long a signal goes unnoticed meanwhile. */
enum { START_TIMEOUT_S = 60, SIGNAL_LOOK_MS = 100 };

extern char **environ;

static bool executable(const char *file)
{
    return access(file, X_OK) == 0;
}

/* Where the file lies that this code was loaded from, a library or a program: as the kernel has
 * it, since the loader keeps the name that it was given, and that may be relative to a directory
 * that the program has left since. */
static bool find_own_file(char own[PATH_MAX])
{
    uintptr_t code = (uintptr_t)&launch_flusher, begin, end;
    char line[PATH_MAX + 128];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL)
        found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &begin, &end) == 2 && begin <= code &&
                code < end;
    if (maps != NULL)
        fclose(maps);
    const char *path = found ? strchr(line, '/') : NULL;
    if (path == NULL)
        return false;
    memcpy(own, path, strcspn(path, "\n") + 1);
    own[strcspn(own, "\n")] = 0;
    return true;
}

static bool beside_library(char file[PATH_MAX])
{
    Dl_info info;
    if (!find_own_file(file) &&
        (dladdr((const void *)&launch_flusher, &info) == 0 || info.dli_fname == NULL ||
         realpath(info.dli_fname, file) == NULL)) /* no /proc */
        return false;
    char *slash = strrchr(file, '/');
    size_t room = slash == NULL ? 0 : PATH_MAX - (size_t)(slash - file);
    return room > 0 && snprintf(slash, room, "/duralog-flusher") < (int)room &&
           access(file, F_OK) == 0;
}

static bool on_path(char file[PATH_MAX])
{
    const char *path = secure_getenv("PATH");
    while (path != NULL && *path != 0) {
        size_t length = strcspn(path, ":");
        if (length > 0 &&
            snprintf(file, PATH_MAX, "%.*s/duralog-flusher", (int)length, path) < PATH_MAX &&
            executable(file))
            return true;
        path += length + (path[length] == ':');
    }
    return false;
}

static int check_executable(const char *file, const char *named_by)
{
    if (executable(file))
        return 0;
    return fail_errno(errno,
                      "%s%s cannot be executed; give it its mode 755 back, mount its file system "
                      "without noexec, or install the package anew",
                      named_by, file);
}

static int find_flusher(char file[PATH_MAX])
{
    const char *given = secure_getenv("DURALOG_FLUSHER");
    if (given != NULL && *given != 0) {
        snprintf(file, PATH_MAX, "%s", given);
        return check_executable(file, "DURALOG_FLUSHER names ") < 0 ? -ENOEXEC : 0;
    }
    if (beside_library(file)) /* not another one, which might be of another version */
        return check_executable(file, "") < 0 ? -ENOEXEC : 0;
    snprintf(file, PATH_MAX, "%s", SHMWAL_BINDIR "/duralog-flusher");
    if (executable(file) || on_path(file))
        return 0;
    return fail(ENOEXEC,
                "duralog-flusher was found neither beside the library nor in " SHMWAL_BINDIR
                " nor on PATH; name it in DURALOG_FLUSHER, or run it yourself and open "
                "the log with SHMWAL_NO_FLUSHER");
}

/* AddressSanitizer takes the thread's stack for the one in use. */
#define ON_OWN_STACK __attribute__((no_sanitize("address")))

struct child {
    const char *file, *path;
    int answer_fd;
    int error;   /* written by the children, which share our memory */
    char *stack; /* the end of the second one's */
};

/* Runs until exec on a stack of its own: system calls only. Signal handlers of the program cannot
 * run: all signals are blocked until they are reset. */
ON_OWN_STACK static int become_flusher(void *argument)
{
    struct child *child = argument;
    char *arguments[] = {(char *)"duralog-flusher", (char *)"--detach", (char *)child->path, NULL};
    sigset_t none;
    sigemptyset(&none);
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(signal, &action, NULL); /* the child's own table: CLONE_SIGHAND is not given */
    }
    if (dup2(child->answer_fd, STDOUT_FILENO) < 0) {
        child->error = errno;
        _exit(127);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(child->file, arguments, environ);
    child->error = errno;
    _exit(127);
}

ON_OWN_STACK static int between(void *argument)
{
    struct child *child = argument;
    if (clone(become_flusher, child->stack, CLONE_VM | CLONE_VFORK, child) < 0)
        child->error = errno;
    _exit(0);
}

static int spawn(struct child *child)
{
    sigset_t all, before;
    char *stack = mmap(NULL, (size_t)2 * STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    child->stack = stack + (size_t)2 * STACK_BYTES;
    pid_t pid = clone(between, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK, child);
    int error = pid < 0 ? -errno : 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    munmap(stack, (size_t)2 * STACK_BYTES);
    while (pid > 0 && waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
        continue;
    return error == 0 ? -child->error : error;
}

/* Guesses at the cause: a death by signal is told to the parent alone, and that is not us. */
static int fail_silent(const char *file, const char *path)
{
    return fail(ENOEXEC,
                "%s ended before it served %s; run it by hand to see why: %s %s (a crash, a limit "
                "on memory, a seccomp filter, or no flusher at all)",
                file, path, file, path);
}

static int understand_answer(char *answer, const char *file, const char *path)
{
    int error, subject, read = 0;
    answer[strcspn(answer, "\n")] = 0;
    if (strcmp(answer, "0") == 0)
        return 0;
    if (sscanf(answer, "%d %d %n", &error, &subject, &read) < 2 || read == 0 || error <= 0)
        return fail_about(ABOUT_FLUSHER, fail_silent(file, path));
    return fail_about(subject, fail(error, "%s", answer + read));
}

/* Reads a line: the flusher serves, or has said why not. Or until the pipe is closed, which a child
 * that this process has just forked may keep open for ever. */
static int read_answer(int fd, const char *file, const char *path, const sigset_t *signals)
{
    char answer[ANSWER_BYTES];
    size_t used = 0;
    int64_t deadline = clock_monotonic_ns() + START_TIMEOUT_S * NS_PER_S;
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int64_t left = (deadline - clock_monotonic_ns()) / NS_PER_MS;
        int look = signals != NULL && left > SIGNAL_LOOK_MS ? SIGNAL_LOOK_MS : (int)left;
        if (left <= 0)
            return fail_about(ABOUT_FLUSHER,
                              fail(ETIMEDOUT,
                                   "the flusher of %s did not begin to serve within %d s; see "
                                   "%s/flusher.log",
                                   path, START_TIMEOUT_S, path));
        int polled = poll(&ready, 1, look);
        if (signals != NULL && (polled < 0 ? errno == EINTR : thread_signal_waits(signals)))
            return -EINTR;
        if (polled == 0 || (polled < 0 && errno == EINTR))
            continue; /* where poll is forbidden, read waits */
        ssize_t got = read(fd, answer + used, sizeof answer - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
        if (memchr(answer, '\n', used) != NULL)
            break;
    }
    answer[used] = 0;
    return understand_answer(answer, file, path);
}

/* ENOENT and ENOEXEC are said of a file that is there, and mean something else then. */
static int fail_start(const char *file, int error)
{
    const char *why = error == ENOENT    ? "the loader that it asks for is not on this system; it "
                                           "was built for another C library"
                      : error == ENOEXEC ? "it is no program for this machine"
                                         : strerror(error);
    return fail(ENOEXEC, "%s cannot be started: %s", file, why);
}

int launch_flusher(const char *path, const sigset_t *signals)
{
    char file[PATH_MAX];
    int ends[2];
    int error = find_flusher(file);
    if (error < 0)
        return fail_about(ABOUT_FLUSHER, error);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return fail_errno(errno, "the flusher of %s cannot be started", path);
    struct child child = {.file = file, .path = path, .answer_fd = ends[1]};
    error = spawn(&child);
    close(ends[1]);
    if (error < 0)
        error = fail_about(ABOUT_FLUSHER, fail_start(file, -error));
    else
        error = read_answer(ends[0], file, path, signals);
    close(ends[0]);
    return error;
}
