/* SPDX-License-Identifier: MIT
 *
 * Records of logging handlers, as lines of a log.
 *
 * A record is one of these if and only if it is a JSON object with all of these members, written
 * with these very names and without escapes in them:
 *
 *   "duralog"    the string "logging"
 *   "created"    a number, seconds since 1970, of a time that the system's calendar knows
 *   "levelname", "name", "message"    strings
 *
 * and, if there, "exc_text" and "stack_info", strings, and "extra", an object. Others may be there
 * and are not shown. pyduralog/duralog/_logging.py writes them.
 *
 * It is printed as `TIME LEVEL LOGGER: MESSAGE EXTRA`, the time in the local zone as
 * `2026-11-25 13:24:29,123`; exception and stack follow on lines of their own. All lines but the
 * first are indented, and control characters are shown as \x1b, so that no message can pretend to
 * be another record.
 *
 * Knows json. The output is fixed: people's eyes and scripts know it. */
#ifndef DURALOG_LOG_LINE_H
#define DURALOG_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_text {
    const char *bytes;
    size_t length; /* 0: it is not there, or empty */
};

struct log_line {
    int64_t created_ms;
    struct log_text level, logger, message, exception, stack;
    struct log_text extra; /* JSON as it stands */
};

/* Whether these bytes are such a record; if so, what it says. `scratch` has room for `length` bytes
 * and must live as long as the line. */
bool log_line_parse(const void *bytes, size_t length, char *scratch, struct log_line *line);

/* To stdout, through to the newline that ends it. */
void log_line_print(const struct log_line *line);

#endif
