/* SPDX-License-Identifier: MIT
 *
 * Starting duralog-flusher from within any program. Knows base. */
#ifndef PRODUCER_LAUNCH_H
#define PRODUCER_LAUNCH_H

#include <signal.h>

/* Starts a detached flusher for the log at `path` and waits until it serves, or another one does.
 * A negative errno with the flusher's own sentence if it could not. With `signals`: -EINTR, without
 * a sentence, when a handler has run, and soon after a signal has come that is not in this mask but
 * was blocked since; the flusher goes on. */
int launch_flusher(const char *path, const sigset_t *signals);

#endif
