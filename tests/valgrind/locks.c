/* SPDX-License-Identifier: MIT
 *
 * Preloaded into what valgrind runs. Valgrind 3.19 lets one thread run at a time, and does not know
 * that F_OFD_SETLKW may wait: a thread that waits for a lock keeps all others of its process from
 * running, the one that holds the lock as well. Here the call asks again and again instead.
 *
 * Knows libc. Goes when the valgrind of the oldest system that runs the tests knows the call. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command != F_OFD_SETLKW)
        return (int)syscall(SYS_fcntl, fd, command, argument);
    const struct timespec pause = {.tv_nsec = 1000 * 1000};
    while (syscall(SYS_fcntl, fd, F_OFD_SETLK, argument) < 0) {
        if (errno != EAGAIN && errno != EACCES)
            return -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}
