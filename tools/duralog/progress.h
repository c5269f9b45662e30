/* SPDX-License-Identifier: MIT
 *
 * A line on a terminal that says how far a long run is. In a pipe or a file: nothing.
 *
 * Knows human. */
#ifndef DURALOG_PROGRESS_H
#define DURALOG_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool wanted, shown;
    int64_t began_ns, next_ns;
};

/* `wanted` false: never shows anything; nor does it where stderr is no terminal. */
struct progress progress_begin(bool wanted);

/* Whether it is time to show something: not at once, then some times a second. */
bool progress_due(struct progress *progress);

double progress_seconds(const struct progress *progress);

__attribute__((format(printf, 2, 3))) void progress_show(struct progress *progress,
                                                         const char *format, ...);

/* How many of the bytes are done, as a bar. */
void progress_show_bar(struct progress *progress, uint64_t done, uint64_t total);

/* Wipes the line; before anything else is printed. */
void progress_end(struct progress *progress);

#endif
