/* SPDX-License-Identifier: MIT
 *
 * What the flusher has to say: one line each, on stderr, which is flusher.log when it is
 * detached. */
#include "flusher/flusher.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void journal(const char *format, ...)
{
    char when[32], line[1024];
    time_t now = time(NULL);
    struct tm broken_down;
    va_list arguments;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &broken_down));
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s %s\n", when, line);
}

bool journal_worth(uint64_t count)
{
    return (count & (count - 1)) == 0;
}
