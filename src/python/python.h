/* SPDX-License-Identifier: MIT
 *
 * What the Python package calls through ctypes to get its fast functions. Not for anybody else:
 * names and arguments change with the package, which comes with the library.
 *
 * Knows abi, shmwal.h. Changes with the package's _native.py. */
#ifndef PYTHON_PYTHON_H
#define PYTHON_PYTHON_H

#include "python/abi.h"
#include "shmwal.h"

/* 1 if the others may be called in the interpreter whose `dict` is given; 0 if not. */
SHMWAL_API int duralog_python_usable(const PyObject *dict_type);

/* (append, append_many), bound to a handle that lives as long as `owner`. `dumps`, or None, makes
 * records of `type`; `chosen`: by the user. */
SHMWAL_API PyObject *duralog_python_appender(PyObject *owner, shmwal *log, PyObject *dumps,
                                             uint32_t type, int chosen);

struct python_reading {
    uint64_t after, until; /* the records that end behind the one and not behind the other */
    uint32_t type;         /* of records that `loads` reads */
    int32_t chosen;        /* `loads`, by the user */
    int32_t with_lsn;      /* pairs of LSN and record */
    int32_t raw;           /* as a record, a pair of type and payload */
};

/* The type of the next function's results, to be made once an interpreter. */
SHMWAL_API PyObject *duralog_python_iterator_type(void);

/* An iterator over the records of a reader that lives as long as `owner`. `loads`, or None, and
 * decode(type, payload) make values of them. turn(found, lsn) is called whenever the reader was
 * asked: with the number of records it gave, 0 at the end for now, or a negative errno, and the
 * last one's LSN; it raises, or says whether to go on. */
SHMWAL_API PyObject *duralog_python_iterator(PyObject *type, PyObject *owner, shmwal_reader *reader,
                                             const struct python_reading *how, PyObject *loads,
                                             PyObject *decode, PyObject *turn);

#endif
