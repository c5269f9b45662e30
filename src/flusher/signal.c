/* SPDX-License-Identifier: MIT
 *
 * SIGTERM and SIGINT. */
#include "flusher/flusher.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static struct ring_control *stop_control;
static volatile sig_atomic_t asked;

static void on_signal(int number)
{
    int saved = errno;
    if (asked++ > 0)
        _exit(128 + number);
    atomic_store(&stop_control->stop_requested, STOP_REQUESTED);
    region_wake_flusher(stop_control);
    errno = saved;
}

void stop_on_signals(struct ring_control *control)
{
    struct sigaction action = {.sa_handler = on_signal};
    stop_control = control;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}
