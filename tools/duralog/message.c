/* SPDX-License-Identifier: MIT
 *
 * What the program says to a person on stderr. See message.h.
 *
 * Knows nobody. Changes with the wording that all sentences share. */
#include "message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *command_name;

void message_set_command(const char *name)
{
    command_name = name;
}

/* What is on its way to stdout comes first, so that a terminal shows both in order. */
static void begin_sentence(void)
{
    fflush(stdout);
    fputs("duralog: ", stderr);
}

int report(const char *format, ...)
{
    begin_sentence();
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return STATUS_FAILED;
}

void usage_error(const char *format, ...)
{
    begin_sentence();
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "; see duralog %s%s--help\n", command_name ? command_name : "",
            command_name ? " " : "");
    exit(STATUS_USAGE);
}

int stdout_close(int status)
{
    errno = EIO; /* what an earlier failure left no other word of */
    bool failed = ferror(stdout) != 0;
    if (fclose(stdout) == 0 && !failed)
        return status;
    return report("cannot write to stdout: %s", strerror(errno));
}
