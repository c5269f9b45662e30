/* SPDX-License-Identifier: MIT
 *
 * SIGINT and SIGTERM as a wish to end in good order. See interrupt.h.
 *
 * Knows nobody. */
#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t seen;

static void note(int signal_number)
{
    (void)signal_number;
    seen = 1;
}

void interrupt_catch(void)
{
    static const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction before, action = {.sa_handler = note, .sa_flags = SA_RESETHAND};
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

bool interrupt_seen(void)
{
    return seen != 0;
}

/* The signals are let in by ppoll alone, so that none slips between the look and the wait. */
int interrupt_wait_readable(int fd)
{
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, &before);
    struct pollfd input = {.fd = fd, .events = POLLIN};
    int rc = 0;
    while (!interrupt_seen() && (rc = ppoll(&input, 1, NULL, &before)) < 0 && errno == EINTR)
        ;
    int error = errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (interrupt_seen())
        return -EINTR;
    return rc < 0 ? -error : 0;
}
