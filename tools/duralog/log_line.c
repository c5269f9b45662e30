/* SPDX-License-Identifier: MIT
 *
 * Records of logging handlers, as lines of a log. See log_line.h.
 *
 * Knows json, YAJL. Changes with what a logging handler writes. */
#include "log_line.h"

#include "json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yajl/yajl_parse.h>

/* ---- Reading ---- */

enum member { DURALOG, CREATED, LEVEL, LOGGER, MESSAGE, EXCEPTION, STACK, EXTRA, OTHER };

static const char *const member_names[] = {
    [DURALOG] = "duralog", [CREATED] = "created",    [LEVEL] = "levelname",  [LOGGER] = "name",
    [MESSAGE] = "message", [EXCEPTION] = "exc_text", [STACK] = "stack_info", [EXTRA] = "extra",
};

/* A parse in progress. Strings are decoded into `scratch`: a string is never shorter in JSON than
 * what it stands for, so the record's length is room enough. */
struct parsing {
    yajl_handle handle;
    const char *json;
    char *scratch;
    unsigned depth;
    enum member member; /* of the outermost object: whose value comes */
    size_t extra_begin;
    unsigned found; /* a bit for each member that has a value of the right kind */
    struct log_line *line;
};

static bool is_value_of(const struct parsing *parsing, enum member member)
{
    return parsing->depth == 1 && parsing->member == member;
}

static struct log_text *text_of(struct log_line *line, enum member member)
{
    switch (member) {
    case LEVEL:
        return &line->level;
    case LOGGER:
        return &line->logger;
    case MESSAGE:
        return &line->message;
    case EXCEPTION:
        return &line->exception;
    case STACK:
        return &line->stack;
    default:
        return NULL;
    }
}

static int on_key(void *context, const unsigned char *key, size_t length)
{
    struct parsing *parsing = context;
    if (parsing->depth != 1)
        return 1;
    for (parsing->member = 0; parsing->member < OTHER; parsing->member++) {
        const char *name = member_names[parsing->member];
        if (strlen(name) == length && memcmp(name, key, length) == 0)
            break;
    }
    return 1;
}

static int on_string(void *context, const unsigned char *value, size_t length)
{
    struct parsing *parsing = context;
    if (parsing->depth != 1)
        return 1;
    if (parsing->member == DURALOG && length == 7 && memcmp(value, "logging", 7) == 0)
        parsing->found |= 1u << DURALOG;
    struct log_text *text = text_of(parsing->line, parsing->member);
    if (text) {
        memcpy(parsing->scratch, value, length);
        *text = (struct log_text){parsing->scratch, length};
        parsing->scratch += length;
        parsing->found |= 1u << parsing->member;
    }
    return 1;
}

static int on_number(void *context, const char *digits, size_t length)
{
    struct parsing *parsing = context;
    char text[64];
    if (!is_value_of(parsing, CREATED) || length >= sizeof text)
        return 1;
    memcpy(text, digits, length);
    text[length] = '\0';
    double seconds = strtod(text, NULL);
    if (seconds > -1e14 && seconds < 1e14) {
        parsing->line->created_ms = (int64_t)(seconds * 1e3 + (seconds < 0 ? -0.5 : 0.5));
        parsing->found |= 1u << CREATED;
    }
    return 1;
}

static int on_begin(void *context)
{
    struct parsing *parsing = context;
    if (is_value_of(parsing, EXTRA))
        parsing->extra_begin = yajl_get_bytes_consumed(parsing->handle) - 1;
    parsing->depth++;
    return 1;
}

static int on_end_map(void *context)
{
    struct parsing *parsing = context;
    parsing->depth--;
    if (is_value_of(parsing, EXTRA)) {
        size_t end = yajl_get_bytes_consumed(parsing->handle);
        parsing->line->extra =
            (struct log_text){parsing->json + parsing->extra_begin, end - parsing->extra_begin};
    }
    return 1;
}

static int on_end_array(void *context)
{
    struct parsing *parsing = context;
    parsing->depth--;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_map_key = on_key,
    .yajl_string = on_string,
    .yajl_number = on_number,
    .yajl_start_map = on_begin,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_begin,
    .yajl_end_array = on_end_array,
};

static bool is_complete(const struct parsing *parsing)
{
    unsigned needed = 1u << DURALOG | 1u << CREATED | 1u << LEVEL | 1u << LOGGER | 1u << MESSAGE;
    time_t seconds = (time_t)(parsing->line->created_ms / 1000);
    struct tm calendar;
    return (parsing->found & needed) == needed && localtime_r(&seconds, &calendar);
}

bool log_line_parse(const void *bytes, size_t length, char *scratch, struct log_line *line)
{
    /* Most records are none, and cost no more than this. */
    if (!memmem(bytes, length, "\"duralog\"", 9) || !json_valid(bytes, length, NULL, 0))
        return false;
    *line = (struct log_line){0};
    struct parsing parsing = {.json = bytes, .scratch = scratch, .member = OTHER, .line = line};
    parsing.handle = yajl_alloc(&callbacks, NULL, &parsing);
    if (!parsing.handle)
        return false;
    bool parsed = yajl_parse(parsing.handle, bytes, length) == yajl_status_ok;
    yajl_free(parsing.handle);
    return parsed && is_complete(&parsing);
}

/* ---- Printing ---- */

static void print_character(char character)
{
    unsigned char byte = (unsigned char)character;
    if (byte == '\n')
        fputs_unlocked("\n    ", stdout);
    else if ((byte < ' ' && byte != '\t') || byte == 0x7f)
        printf("\\x%02x", byte);
    else
        putc_unlocked(byte, stdout);
}

/* Prints what stands at `at`; the length of it. Terminals obey U+0080 to U+009F as well: U+0085
 * ends a line, and U+009B is an escape and a bracket in one. */
static size_t print_at(struct log_text text, size_t at)
{
    unsigned char next = at + 1 < text.length ? (unsigned char)text.bytes[at + 1] : 0xFF;
    if ((unsigned char)text.bytes[at] != 0xC2 || next >= 0xA0) {
        print_character(text.bytes[at]);
        return 1;
    }
    printf("\\x%02x", next);
    return 2;
}

static void print_text(struct log_text text)
{
    while (text.length > 0 && text.bytes[text.length - 1] == '\n')
        text.length--;
    for (size_t at = 0; at < text.length;)
        at += print_at(text, at);
}

/* A value as it stands, in one line: line breaks within it stand between its parts only. */
static void print_json(struct log_text json)
{
    for (size_t at = 0; at < json.length;) {
        if (json.bytes[at] == '\r' || json.bytes[at] == '\n') {
            putc_unlocked(' ', stdout);
            at++;
        } else {
            at += print_at(json, at);
        }
    }
}

static void print_below(struct log_text text)
{
    if (text.length > 0)
        print_character('\n');
    print_text(text);
}

static void print_time(int64_t created_ms)
{
    int64_t milliseconds = (created_ms % 1000 + 1000) % 1000;
    time_t seconds = (time_t)((created_ms - milliseconds) / 1000);
    struct tm calendar;
    char text[64];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &calendar));
    printf("%s,%03d", text, (int)milliseconds);
}

void log_line_print(const struct log_line *line)
{
    print_time(line->created_ms);
    putc_unlocked(' ', stdout);
    print_text(line->level);
    putc_unlocked(' ', stdout);
    print_text(line->logger);
    fputs_unlocked(": ", stdout);
    print_text(line->message);
    if (line->extra.length > 2) {
        putc_unlocked(' ', stdout);
        print_json(line->extra);
    }
    print_below(line->exception);
    print_below(line->stack);
    putc_unlocked('\n', stdout);
}
