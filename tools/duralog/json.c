/* SPDX-License-Identifier: MIT
 *
 * JSON in and out. See json.h.
 *
 * Knows utf8, YAJL. Changes when a command prints a kind of value that it did not before. */
#include "json.h"

#include "utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

/* YAJL takes vertical tabs and form feeds for blanks; JSON does not. In strings it refuses all
 * control characters by itself. */
static bool has_foreign_blank(const char *text, size_t length)
{
    return memchr(text, '\v', length) || memchr(text, '\f', length);
}

static bool refuse(char *reason, size_t reason_size, const char *why)
{
    if (reason)
        snprintf(reason, reason_size, "%s", why);
    return false;
}

/* YAJL must be let stop behind the value: else it takes an open quotation mark there for something
 * that may still come, and is content. */
static bool parse(yajl_handle handle, const unsigned char *text, size_t length, char *reason,
                  size_t reason_size)
{
    yajl_config(handle, yajl_allow_trailing_garbage, 1);
    if (yajl_parse(handle, text, length) == yajl_status_ok) {
        size_t end = yajl_get_bytes_consumed(handle);
        while (end < length && strchr(" \t\r\n", text[end]) && text[end] != '\0')
            end++;
        if (end < length)
            return refuse(reason, reason_size, "there is more behind the value");
        if (yajl_complete_parse(handle) == yajl_status_ok)
            return true;
    }
    unsigned char *error = yajl_get_error(handle, 0, text, length);
    if (reason)
        snprintf(reason, reason_size, "%.*s", (int)strcspn((char *)error, ".\n"), (char *)error);
    yajl_free_error(handle, error);
    return false;
}

bool json_valid(const void *bytes, size_t length, char *reason, size_t reason_size)
{
    if (!utf8_valid(bytes, length))
        return refuse(reason, reason_size, "it is not UTF-8");
    if (has_foreign_blank(bytes, length))
        return refuse(reason, reason_size, "it has a control character");
    yajl_handle handle = yajl_alloc(NULL, NULL, NULL);
    if (!handle)
        return refuse(reason, reason_size, "out of memory");
    bool valid = parse(handle, bytes, length, reason, reason_size);
    yajl_free(handle);
    return valid;
}

/* YAJL prints compact, or a line for each member. This takes the latter, with an empty indent, and
 * joins the lines: a blank after a comma, nothing after or before a brace. Line breaks come as
 * pieces of their own, and only here: those within strings are escaped, those within values are
 * replaced. */
static void print_joined(void *context, const char *piece, size_t length)
{
    char *last = context;
    if (length == 0)
        return;
    if (length == 1 && piece[0] == '\n') {
        if (*last == ',')
            putc_unlocked(' ', stdout);
        return;
    }
    fwrite_unlocked(piece, 1, length, stdout);
    *last = piece[length - 1];
}

yajl_gen json_generator(void)
{
    static char last_printed;
    yajl_gen generator = yajl_gen_alloc(NULL);
    if (!generator)
        return NULL;
    yajl_gen_config(generator, yajl_gen_beautify, 1);
    yajl_gen_config(generator, yajl_gen_indent_string, "");
    yajl_gen_config(generator, yajl_gen_print_callback, print_joined, &last_printed);
    return generator;
}

void json_end_line(yajl_gen generator)
{
    putc_unlocked('\n', stdout);
    yajl_gen_reset(generator, NULL);
}

void json_string(yajl_gen generator, const char *text)
{
    size_t length = strlen(text);
    char *copy = strdup(text);
    if (!copy)
        abort();
    for (size_t at = 0; (at += utf8_prefix(copy + at, length - at)) < length;)
        copy[at] = '?';
    yajl_gen_string(generator, (const unsigned char *)copy, length);
    free(copy);
}

void json_unsigned(yajl_gen generator, uint64_t value)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, value);
    yajl_gen_number(generator, digits, (size_t)length);
}

void json_value(yajl_gen generator, char *value, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (value[i] == '\n' || value[i] == '\r')
            value[i] = ' ';
    yajl_gen_number(generator, value, length);
}
