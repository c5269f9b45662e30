/* SPDX-License-Identifier: MIT
 *
 * duralog-flusher: arguments, going into the background, and the exit status. */
#include "base/error.h"
#include "flusher/flusher.h"
#include "flusher/notify.h"
#include "flusher/numa.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Exported, or argp would not find it: symbols are hidden by default. */
__attribute__((visibility("default"))) const char *argp_program_version =
    "duralog-flusher " SHMWAL_VERSION;

struct arguments {
    const char *log;
    int numa_node;
    bool detach;
};

enum { OPTION_NUMA_NODE = 1000, OPTION_DETACH };

static const struct argp_option options[] = {
    {"numa-node", OPTION_NUMA_NODE, "N|auto", 0,
     "Keep the ring's memory and this process on NUMA node N, or on that of the log's device", 0},
    {"detach", OPTION_DETACH, NULL, OPTION_HIDDEN, NULL, 0},
    {NULL, 0, NULL, 0, NULL, 0},
};

static const char documentation[] =
    "Writes what processes append to the log at LOG to disk, and tells them when it is durable.\v"
    "Runs in the foreground until SIGTERM or SIGINT, which write and sync what is committed and "
    "end "
    "it; a second one ends it at once. What is not yet durable then stays in the ring for the next "
    "one. There is one flusher a log: a second one says so and exits with 1.\n\n"
    "You need not run it: the first process that opens a log starts one by itself, which ends some "
    "seconds after the last process has left. Run it as a service to choose its user, its CPU or "
    "its "
    "limits; under systemd use Type=notify.\n\n"
    "Exit status: 0 all is durable, 1 it is not or could not be served, 2 wrong usage.\n\n"
    "Examples:\n"
    "  duralog-flusher /var/lib/app/events\n"
    "  duralog-flusher --numa-node auto /var/lib/app/events";

static error_t parse(int key, char *argument, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPTION_NUMA_NODE:
        if (numa_node_parse(argument, &arguments->numa_node) < 0)
            argp_error(state, "%s", fail_sentence());
        return 0;
    case OPTION_DETACH:
        arguments->detach = true;
        return 0;
    case ARGP_KEY_ARG:
        if (arguments->log != NULL)
            argp_error(state, "one LOG, not several");
        arguments->log = argument;
        return 0;
    case ARGP_KEY_END:
        if (arguments->log == NULL)
            argp_error(state, "which LOG?");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {options, parse, "LOG", documentation, NULL, NULL, NULL};

/* Into the background, with nothing of the starter's but the pipe to answer through: its
 * descriptor. */
static int detach(void)
{
    int answer = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (answer < 0 || null < 0)
        return -errno;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0)
        _exit(0);
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    dup2(answer, 3);
    close_range(4, ~0U, 0);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    return chdir("/") < 0 ? -errno : 3;
}

/* stderr goes to LOG/flusher.log from here on. */
static void log_to_file(const struct flusher *flusher)
{
    struct stat status;
    int fd = openat(flusher->directory.fd, "flusher.log",
                    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) /* and no FIFO that nobody reads */
        dup2(fd, STDERR_FILENO);
    close(fd);
}

/* To whoever started us, if it is still there: that somebody serves, or why not. See
 * producer/launch.c. */
static void answer(int fd, int error)
{
    if (fd < 0)
        return;
    if (error < 0 && error != -EBUSY)
        dprintf(fd, "%d %d %s\n", -error, fail_subject(), fail_sentence());
    else
        dprintf(fd, "0\n");
    close(fd);
}

static int serve(struct flusher *flusher)
{
    journal("serving %s from LSN %llu, process %d, %s", flusher->directory.path,
            (unsigned long long)flusher->durable, getpid(), store_sync_method(flusher->store));
    notify_manager("READY=1\nSTATUS=serving");
    int error = flusher_run(flusher);
    notify_manager("STOPPING=1");
    flusher_close(flusher);
    return error < 0 ? 1 : 0;
}

int main(int count, char **words)
{
    struct arguments arguments = {.numa_node = NUMA_NODE_ANY};
    struct flusher flusher;
    int answer_fd = -1;
    argp_err_exit_status = 2;
    umask(077);
    signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error that can be told then */
    argp_parse(&argp, count, words, 0, NULL, &arguments);
    if (arguments.detach && (answer_fd = detach()) < 0) {
        fprintf(stderr, "duralog-flusher: cannot go into the background: %s\n",
                strerror(-answer_fd));
        return 1;
    }
    if (arguments.detach)
        limits_raise();
    ask_for_short_slices();
    int error = flusher_open(&flusher, arguments.log, arguments.detach);
    if (error == 0) {
        if (arguments.detach)
            log_to_file(&flusher);
        stop_on_signals(flusher.region.region.control);
        error = numa_node_bind(arguments.numa_node, flusher.directory.fd,
                               flusher.region.region.control, flusher.region.region.mapped_bytes);
        if (error < 0)
            flusher_close(&flusher);
    }
    if (error < 0)
        fprintf(stderr, "duralog-flusher: %s\n", fail_sentence());
    answer(answer_fd, error);
    return error < 0 ? 1 : serve(&flusher);
}
