/* SPDX-License-Identifier: MIT
 *
 * What the program says to a person on stderr. See message.h.
 *
 * Knows nobody. Changes with the wording that all sentences share. */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
