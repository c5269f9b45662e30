/* SPDX-License-Identifier: MIT
 *
 * UTF-8, base64 and JSON as their standards have them, read in the plainest way: slowly, from left
 * to right, and sharing nothing with the tool whose word is held against it.
 *
 * Knows nobody. The standards are fixed. */
#ifndef FUZZ_PLAIN_H
#define FUZZ_PLAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* ---- UTF-8, RFC 3629 ---- */

/* The length of the character that begins at `p`, 0 if none does. It is decoded: how long it may be
 * follows from the number that it stands for. */
static inline size_t plain_character(const uint8_t *p, size_t room)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = p[0] >> 7 == 0    ? 1
                    : p[0] >> 5 == 6  ? 2
                    : p[0] >> 4 == 14 ? 3
                    : p[0] >> 3 == 30 ? 4
                                      : 0;
    if (length <= 1 || length > room)
        return length == 1;
    uint32_t number = p[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        number = number << 6 | (p[i] & 63);
    }
    bool is_surrogate = number >= 0xD800 && number <= 0xDFFF;
    return number < smallest[length] || number > 0x10FFFF || is_surrogate ? 0 : length;
}

static inline size_t plain_utf8_prefix(const uint8_t *bytes, size_t length)
{
    size_t at = 0, step = 1;
    while (at < length && step > 0)
        at += step = plain_character(bytes + at, length - at);
    return at;
}

/* ---- Base64, RFC 4648 section 4 ---- */

/* What the text stands for: its length, or -1 if it is no base64, or not the only one there is for
 * these bytes. */
static inline ssize_t plain_base64(const char *text, size_t length, uint8_t *bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t digits = length, count = 0;
    uint32_t bits = 0, held = 0;
    while (digits > 0 && text[digits - 1] == '=')
        digits--;
    for (size_t i = 0; i < digits; i++) {
        const char *digit = text[i] != '\0' ? strchr(alphabet, text[i]) : NULL;
        if (digit == NULL)
            return -1;
        bits = bits << 6 | (uint32_t)(digit - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            bytes[count++] = (uint8_t)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    return bits == 0 && held < 6 && length == (count + 2) / 3 * 4 ? (ssize_t)count : -1;
}

/* ---- JSON, RFC 8259 ---- */

struct plain_json {
    const uint8_t *at, *end;
};

static inline bool plain_value(struct plain_json *json);

/* Passes the next byte if it is one of these. */
static inline bool plain_take(struct plain_json *json, const char *these)
{
    bool is = json->at < json->end && *json->at != '\0' && strchr(these, *json->at) != NULL;
    json->at += is;
    return is;
}

static inline void plain_blanks(struct plain_json *json)
{
    while (plain_take(json, " \t\r\n"))
        continue;
}

static inline bool plain_word(struct plain_json *json, const char *word)
{
    size_t length = strlen(word);
    if ((size_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0)
        return false;
    json->at += length;
    return true;
}

static inline bool plain_digits(struct plain_json *json)
{
    if (!plain_take(json, "0123456789"))
        return false;
    while (plain_take(json, "0123456789"))
        continue;
    return true;
}

static inline bool plain_number(struct plain_json *json)
{
    plain_take(json, "-");
    if (!plain_take(json, "0") && !plain_digits(json))
        return false;
    if (plain_take(json, ".") && !plain_digits(json))
        return false;
    if (!plain_take(json, "eE"))
        return true;
    plain_take(json, "+-");
    return plain_digits(json);
}

static inline bool plain_escape(struct plain_json *json)
{
    if (!plain_take(json, "u"))
        return plain_take(json, "\"\\/bfnrt");
    for (int i = 0; i < 4; i++)
        if (!plain_take(json, "0123456789abcdefABCDEF"))
            return false;
    return true;
}

static inline bool plain_string(struct plain_json *json)
{
    if (!plain_take(json, "\""))
        return false;
    while (json->at < json->end && *json->at >= ' ' && *json->at != '"')
        if (*json->at++ == '\\' && !plain_escape(json))
            return false;
    return plain_take(json, "\"");
}

/* Members of an object or elements of an array, behind its opening bracket. */
static inline bool plain_members(struct plain_json *json, bool named, const char *closing)
{
    plain_blanks(json);
    if (plain_take(json, closing))
        return true;
    do {
        plain_blanks(json);
        if (named && !plain_string(json))
            return false;
        plain_blanks(json);
        if (named && !plain_take(json, ":"))
            return false;
        if (!plain_value(json))
            return false;
    } while (plain_take(json, ","));
    return plain_take(json, closing);
}

static inline bool plain_next_is(const struct plain_json *json, char byte)
{
    return json->at < json->end && *json->at == (uint8_t)byte;
}

/* A value with the blanks around it: its first byte says of which kind it is. */
static inline bool plain_value(struct plain_json *json)
{
    bool is;
    plain_blanks(json);
    if (plain_next_is(json, '"'))
        is = plain_string(json);
    else if (plain_take(json, "{"))
        is = plain_members(json, true, "}");
    else if (plain_take(json, "["))
        is = plain_members(json, false, "]");
    else
        is = plain_word(json, "true") || plain_word(json, "false") || plain_word(json, "null") ||
             plain_number(json);
    plain_blanks(json);
    return is;
}

static inline bool plain_is_json(const uint8_t *bytes, size_t length)
{
    struct plain_json json = {bytes, bytes + length};
    return plain_utf8_prefix(bytes, length) == length && plain_value(&json) && json.at == json.end;
}

#endif
