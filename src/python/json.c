/* SPDX-License-Identifier: MIT
 * See json.h. */
#include "python/json.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

struct out {
    char *next, *end;
};

static const uint64_t BLANKS = 0x2020202020202020;

static bool put_value(struct out *out, PyObject *value, int depth);

static bool has_room(const struct out *out, size_t bytes)
{
    return bytes <= (size_t)(out->end - out->next);
}

/* Whether one of the eight bytes is a quote, a backslash or a control character. */
static bool has_special(uint64_t bytes)
{
    const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    uint64_t quote = bytes ^ ones * '"', backslash = bytes ^ ones * '\\';
    uint64_t below = (bytes - ones * 0x20) & ~bytes;
    return ((below | ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash)) & tops) != 0;
}

/* Fewer than eight bytes, and zeros. */
static uint64_t load_rest(const char *text, size_t length)
{
    uint64_t bytes = 0;
    if (length >= 4) {
        uint32_t first, last;
        memcpy(&first, text, 4);
        memcpy(&last, text + length - 4, 4);
        return first | (uint64_t)last << (8 * (length - 4));
    }
    for (size_t i = 0; i < length; i++)
        bytes |= (uint64_t)(unsigned char)text[i] << (8 * i);
    return bytes;
}

static bool put_text(struct out *out, PyObject *text)
{
    ssize_t signed_length;
    const char *data = py.PyUnicode_AsUTF8AndSize(text, &signed_length);
    if (data == NULL) {
        py.PyErr_Clear(); /* a lone surrogate */
        return false;
    }
    size_t length = (size_t)signed_length;
    uint64_t bytes;
    if (!has_room(out, length + 2 + sizeof bytes))
        return false;
    char *next = out->next;
    *next++ = '"';
    for (; length >= sizeof bytes; length -= sizeof bytes) {
        memcpy(&bytes, data, sizeof bytes);
        if (has_special(bytes))
            return false;
        memcpy(next, &bytes, sizeof bytes);
        data += sizeof bytes;
        next += sizeof bytes;
    }
    bytes = load_rest(data, length);
    if (has_special(bytes | BLANKS << (8 * length)))
        return false;
    memcpy(next, &bytes, sizeof bytes);
    next += length;
    *next++ = '"';
    out->next = next;
    return true;
}

enum { DIGITS_MAX = 20 };

/* At least `width` digits. There must be room for DIGITS_MAX: so many bytes are copied, a number
 * that the compiler knows. */
static void put_digits(struct out *out, uint64_t number, int width)
{
    char digits[2 * DIGITS_MAX];
    char *end = digits + DIGITS_MAX, *first = end;
    for (; number > 0 || width > 0; number /= 10, width--)
        *--first = (char)('0' + number % 10);
    memcpy(out->next, first, DIGITS_MAX);
    out->next += end - first;
}

static bool put_int(struct out *out, PyObject *value)
{
    int overflow;
    long long number = py.PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0 || !has_room(out, 1 + DIGITS_MAX))
        return false;
    if (number < 0)
        *out->next++ = '-';
    put_digits(out, number < 0 ? -(uint64_t)number : (uint64_t)number, 1);
    return true;
}

/* A float that is a decimal of few digits: the quotient of two numbers that doubles hold exactly is
 * rounded as whoever reads the decimal rounds it. So if it is the float, the float comes back. */
static bool put_float(struct out *out, PyObject *value)
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    double number = py.PyFloat_AsDouble(value), size = fabs(number);
    if (!(size < 9e9) || !has_room(out, 2 + 2 * DIGITS_MAX)) /* NaN is not less */
        return false;
    for (int places = 0; places < (int)(sizeof powers / sizeof *powers); places++) {
        uint64_t whole = (uint64_t)(size * powers[places] + 0.5); /* below 2^53 */
        if ((double)whole / powers[places] != size)
            continue;
        uint64_t unit = (uint64_t)powers[places];
        if (signbit(number))
            *out->next++ = '-';
        put_digits(out, whole / unit, 1);
        *out->next++ = '.';
        put_digits(out, whole % unit, places > 0 ? places : 1);
        return true;
    }
    return false;
}

static bool put_word(struct out *out, const char word[5], size_t length)
{
    memcpy(out->next, word, 5);
    out->next += length;
    return true;
}

static bool put_dict(struct out *out, PyObject *dict, int depth)
{
    PyObject *key, *value;
    ssize_t place = 0;
    *out->next++ = '{';
    char *first = out->next;
    while (py.PyDict_Next(dict, &place, &key, &value)) {
        if (python_type(key) != py.PyUnicode_Type || !put_text(out, key) || !has_room(out, 2))
            return false;
        *out->next++ = ':';
        if (!put_value(out, value, depth) || !has_room(out, 2))
            return false;
        *out->next++ = ',';
    }
    out->next -= out->next > first; /* the last comma */
    *out->next++ = '}';
    return true;
}

static bool put_list(struct out *out, PyObject *list, int depth)
{
    ssize_t size = py.PyList_Size(list);
    *out->next++ = '[';
    for (ssize_t i = 0; i < size; i++) {
        if (!put_value(out, py.PyList_GetItem(list, i), depth) || !has_room(out, 2))
            return false;
        *out->next++ = ',';
    }
    out->next -= size > 0;
    *out->next++ = ']';
    return true;
}

/* No code of the interpreter's user runs meanwhile, so nothing can change below. */
static bool put_value(struct out *out, PyObject *value, int depth)
{
    PyObject *type = python_type(value);
    if (type == py.PyUnicode_Type)
        return put_text(out, value);
    if (type == py.PyLong_Type)
        return put_int(out, value);
    if (type == py.PyFloat_Type)
        return put_float(out, value);
    if (!has_room(out, 5) || depth == 0)
        return false;
    if (type == py.PyDict_Type)
        return put_dict(out, value, depth - 1);
    if (type == py.PyList_Type)
        return put_list(out, value, depth - 1);
    if (value == py._Py_NoneStruct)
        return put_word(out, "null ", 4);
    if (value == py._Py_TrueStruct)
        return put_word(out, "true ", 4);
    return value == py._Py_FalseStruct && put_word(out, "false", 5);
}

size_t json_write(PyObject *record, char text[JSON_BYTES_MAX])
{
    struct out out = {text, text + JSON_BYTES_MAX};
    return put_value(&out, record, JSON_DEPTH_MAX) ? (size_t)(out.next - text) : 0;
}
