/* SPDX-License-Identifier: MIT
 *
 * A JSON writer for the records that most are. Each value has to be looked at anyway, since orjson
 * would silently keep a tuple as a list and NaN as null; and having looked, it takes less to write
 * the value down than to call orjson. For a dict of 70 to 190 bytes append_many is faster by a
 * third, and needs no orjson.
 *
 * It gives up where there is more to it, and then the record goes the longer way: text that has to
 * be escaped, an int beyond 64 bits, a float of many digits, a record of more than 16 KiB,
 * whatever is not exactly dict, list, str, int, float, bool or None.
 *
 * Knows abi. Changes with which records are the common ones. */
#ifndef PYTHON_JSON_H
#define PYTHON_JSON_H

#include "python/abi.h"

enum { JSON_BYTES_MAX = 16 * 1024, JSON_DEPTH_MAX = 200 /* _codec.py's DEPTH_MAX */ };

/* Writes a dict or list; its length, or 0 where it gives up. No exception is set. */
size_t json_write(PyObject *record, char text[JSON_BYTES_MAX]);

#endif
