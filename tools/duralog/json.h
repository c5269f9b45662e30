/* SPDX-License-Identifier: MIT
 *
 * JSON in and out, by YAJL: checking that bytes are one value, and printing objects, one a line.
 *
 * Lines look as `{"lsn": 128, "type": "text"}`. The generator is YAJL's own; the json_ functions
 * are what it lacks.
 *
 * Knows utf8. The look of the lines is fixed. */
#ifndef DURALOG_JSON_H
#define DURALOG_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <yajl/yajl_gen.h>

/* Whether the bytes are exactly one JSON value in UTF-8. If not, `reason`, unless NULL, gets
 * why. */
bool json_valid(const void *bytes, size_t length, char *reason, size_t reason_size);

/* A generator that prints to stdout; NULL if there is no memory. yajl_gen_free() it. */
yajl_gen json_generator(void);

/* After the outermost object's end: ends the line, and makes the generator ready for the next. */
void json_end_line(yajl_gen generator);

void json_string(yajl_gen generator, const char *text); /* '?' for bytes that are not UTF-8 */
void json_unsigned(yajl_gen generator, uint64_t value);

/* A valid JSON value as it stands, so that no number loses a digit; line breaks become blanks. */
void json_value(yajl_gen generator, char *value, size_t length);

#endif
