/* SPDX-License-Identifier: MIT
 *
 * The command line's arguments. See options.h.
 *
 * Knows message, shmwal.h. Changes when an option of a new kind comes. */
#include "options.h"

#include "message.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SECONDS_MAX = 1000000000 }; /* 31 years; its nanoseconds fit an int64_t */

int option_next(int argc, char **argv, const struct option *options, const char *help)
{
    opterr = 0;
    int option = getopt_long(argc, argv, ":h", options, NULL);
    switch (option) {
    case 'h':
        fputs(help, stdout);
        exit(stdout_close(STATUS_DONE));
    case ':':
        usage_error("%s needs a value", argv[optind - 1]);
    case '?':
        if (optopt != 0 && optopt < 256 && strncmp(argv[optind - 1], "--", 2) != 0)
            usage_error("there is no option -%c", optopt);
        usage_error("there is no option %s here, or it takes no value", argv[optind - 1]);
    default:
        return option;
    }
}

char **operands(int argc, char **argv, int minimum, int maximum)
{
    int count = argc - optind;
    if (count < minimum)
        usage_error("the path of the LOG is missing");
    if (count > maximum)
        usage_error("'%s' is one argument too many", argv[optind + maximum]);
    if (argv[optind][0] == '\0')
        usage_error("the path of the LOG is empty");
    return argv + optind;
}

/* The digits at the start of `text`: strtoull alone would take blanks and signs too. */
static uint64_t parse_digits(const char *option, const char *text, char **end)
{
    if (!isdigit((unsigned char)text[0]))
        usage_error("%s takes a number from 0 on, not '%s'", option, text);
    errno = 0;
    unsigned long long value = strtoull(text, end, 10);
    if (errno != 0)
        usage_error("%s: '%s' is too large", option, text);
    return value;
}

uint64_t parse_size(const char *option, const char *text)
{
    char *end;
    uint64_t value = parse_digits(option, text, &end);
    static const char units[] = "KMG";
    const char *unit = *end != '\0' ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (unit)
        end++;
    if (*end != '\0')
        usage_error("%s takes a number of bytes, with K, M or G behind it, not '%s'", option, text);
    uint64_t scale = unit ? UINT64_C(1024) << (10 * (unit - units)) : 1;
    if (__builtin_mul_overflow(value, scale, &value))
        usage_error("%s: '%s' is too large", option, text);
    return value;
}

uint64_t parse_size_above_0(const char *option, const char *text)
{
    uint64_t value = parse_size(option, text);
    if (value == 0)
        usage_error("%s cannot be 0", option);
    return value;
}

uint64_t parse_lsn(const char *option, const char *text)
{
    char *end;
    uint64_t value = parse_digits(option, text, &end);
    if (*end != '\0')
        usage_error("%s takes an LSN, a whole number, not '%s'", option, text);
    return value;
}

int64_t parse_seconds(const char *option, const char *text)
{
    if (text[strspn(text, "0123456789.")] != '\0' || strpbrk(text, "0123456789") == NULL)
        usage_error("%s takes seconds, such as 5 or 0.25, not '%s'", option, text);
    char *end;
    double seconds = strtod(text, &end);
    if (*end != '\0')
        usage_error("%s takes seconds, such as 5 or 0.25, not '%s'", option, text);
    if (seconds > SECONDS_MAX)
        usage_error("%s: '%s' is too large", option, text);
    return (int64_t)(seconds * 1e9);
}

shmwal_level parse_level(const char *option, const char *text)
{
    if (strcmp(text, "durable") == 0)
        return SHMWAL_DURABLE;
    if (strcmp(text, "committed") == 0)
        return SHMWAL_COMMITTED;
    usage_error("%s takes durable or committed, not '%s'", option, text);
}
