/* SPDX-License-Identifier: MIT
 *
 * SIGTERM and SIGINT, which ask for a stop; and SIGBUS, with which the kernel answers an access to
 * memory that is no more, because somebody has truncated the ring's object. */
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

/* There is nothing to go on with. What was acknowledged is on disk; whoever opens the log next
 * finds it there, and makes a new ring. */
static void on_lost_memory(int number)
{
    (void)number;
    static const char sentence[] = "the ring or a file was truncated while it was in use (SIGBUS): "
                                   "ending; what is durable stands\n";
    (void)!write(STDERR_FILENO, sentence, sizeof sentence - 1);
    _exit(1);
}

void stop_on_signals(struct ring_control *control)
{
    struct sigaction action = {.sa_handler = on_signal};
    stop_control = control;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    signal(SIGBUS, on_lost_memory);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}
