/* SPDX-License-Identifier: MIT
 *
 * Records and their bytes, the common cases: what pyduralog/duralog/_codec.py defines, and does
 * itself where this here declines.
 *
 * Knows json, abi, shmwal.h. Changes with that file. */
#ifndef PYTHON_CODEC_H
#define PYTHON_CODEC_H

#include "python/abi.h"
#include "python/json.h"
#include "shmwal.h"

#include <stdint.h>

/* One direction of a codec: dumps or loads. */
struct codec {
    PyObject *function; /* NULL: none, such records are declined */
    uint32_t type;      /* of the records that it makes or reads */
    bool chosen;        /* by the user: it answers for what it makes of a value */
};

/* What the package gave; it holds a reference to the function, which may be None. */
static inline struct codec codec_given(PyObject *function, uint32_t type, bool chosen)
{
    bool none = function == py._Py_NoneStruct;
    return (struct codec){none ? NULL : python_take(function), type, chosen};
}

struct payload {
    const char *data;
    size_t length;
    uint32_t type;
    PyObject *owner; /* of the bytes, a reference; NULL: the record, or the scratch memory */
};

enum { CODEC_FAILED = -1, CODEC_DECLINED = 0, CODEC_DONE = 1 };

/* CODEC_DONE with *payload set, to be released; CODEC_DECLINED if the package is to see to the
 * record itself, and to what is wrong with it; or CODEC_FAILED with an exception set that is no
 * error of the record: Ctrl-C. What is written into `scratch` stands there until it is used again,
 * and that may be as soon as the interpreter's lock is let go. */
int codec_encode(const struct codec *dumps, PyObject *record, char scratch[JSON_BYTES_MAX],
                 struct payload *payload);

static inline void payload_release(struct payload *payload)
{
    python_drop(payload->owner);
}

/* The value of a record, as a new reference; NULL with an exception. `decode` is the package's own
 * function, which takes what is declined here. */
PyObject *codec_decode(const struct codec *loads, PyObject *decode, const shmwal_record *record);

#endif
