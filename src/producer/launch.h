/* SPDX-License-Identifier: MIT
 *
 * Starting duralog-flusher from within any program. Knows base. */
#ifndef PRODUCER_LAUNCH_H
#define PRODUCER_LAUNCH_H

/* Starts a detached flusher for the log at `path` and waits until it serves, or another one does.
 * A negative errno with the flusher's own sentence if it could not. */
int launch_flusher(const char *path);

#endif
