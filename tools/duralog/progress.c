/* SPDX-License-Identifier: MIT
 *
 * A line on a terminal that says how far a long run is. See progress.h.
 *
 * Knows human. */
#include "progress.h"

#include "human.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BAR_WIDTH = 40 };

#define INTERVAL_NS INT64_C(200000000)

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct progress progress_begin(bool wanted)
{
    int64_t now = now_ns();
    return (struct progress){.wanted = wanted && isatty(STDERR_FILENO),
                             .began_ns = now,
                             .next_ns = now + 2 * INTERVAL_NS};
}

bool progress_due(struct progress *progress)
{
    if (!progress->wanted)
        return false;
    int64_t now = now_ns();
    if (now < progress->next_ns)
        return false;
    progress->next_ns = now + INTERVAL_NS;
    return true;
}

double progress_seconds(const struct progress *progress)
{
    return (double)(now_ns() - progress->began_ns) / 1e9;
}

void progress_show(struct progress *progress, const char *format, ...)
{
    fputs("\r\033[K", stderr);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    progress->shown = true;
}

void progress_show_bar(struct progress *progress, uint64_t done, uint64_t total)
{
    char bytes[HUMAN_BYTES];
    double part = total == 0 ? 1 : (double)done / (double)total;
    int filled = (int)(part * BAR_WIDTH);
    progress_show(progress, "[%.*s%*s] %3.0f%% of %s", filled,
                  "########################################", BAR_WIDTH - filled, "", 100 * part,
                  human_bytes(total, bytes));
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        fputs("\r\033[K", stderr);
    progress->shown = false;
}
