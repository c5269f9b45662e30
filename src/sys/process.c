/* SPDX-License-Identifier: MIT
 * See process.h. */
#include "sys/process.h"

#include "sys/clock.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

uint32_t sys_pid_namespace(void)
{
    struct stat status;
    return stat("/proc/self/ns/pid", &status) < 0 ? 0 : (uint32_t)status.st_ino;
}

int sys_process_open(pid_t pid)
{
    long fd = syscall(SYS_pidfd_open, pid, 0); /* closes on exec by itself */
    return fd < 0 ? -errno : (int)fd;
}

int sys_process_kill(int fd)
{
    return syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) < 0 ? -errno : 0;
}

int sys_process_await_end(int fd, int64_t deadline_ns)
{
    struct pollfd ended = {.fd = fd, .events = POLLIN};
    for (;;) {
        int64_t left = deadline_ns - clock_monotonic_ns();
        left = left < 0 ? 0 : left;
        struct timespec timeout = {left / NS_PER_S, left % NS_PER_S};
        if (ppoll(&ended, 1, &timeout, NULL) > 0)
            return 0;
        if (left == 0)
            return -ETIMEDOUT;
    }
}
