/* SPDX-License-Identifier: MIT
 *
 * What DuraLog.replay and follow return: an iterator over the records of a reader. Each becomes a
 * value just before it is yielded, so that what the caller has done with is still in the
 * processor's cache when the next one takes its memory.
 *
 * After each look into the log the package is asked, by its function `turn`, whether to go on:
 * there errors are raised, followers wait, and progress is shown.
 *
 * An iterator is for one thread at a time: another one, or a codec that calls its own iterator,
 * gets a ValueError, as from a generator.
 *
 * Knows codec, abi, shmwal.h. Changes with the package's _reading.py. */
#include "python/codec.h"
#include "python/python.h"

#include "shmwal.h"

#include <stdlib.h>

enum { LOOK_RECORDS = 1024 };

struct reading {
    shmwal_reader *reader;
    PyObject *owner; /* of the reader */
    PyObject *decode, *turn;
    struct codec loads;
    uint64_t after, until; /* records that end there or before, and behind it, are left out */
    bool with_lsn, raw;
    bool busy; /* with the interpreter's lock */
    size_t next, count;
    shmwal_record records[LOOK_RECORDS];
};

/* The object: behind its header, see python_type(), its state. NULL in one that somebody has made
 * by calling the type. */
struct iterator {
    void *header[2];
    struct reading *reading;
};

static struct reading *reading_of(PyObject *self)
{
    return ((struct iterator *)self)->reading;
}

/* What `turn` says of a look that found so many records, or failed: 1 go on, 0 the end, or -1 with
 * an exception. */
static int ask_turn(const struct reading *reading, int got, uint64_t lsn)
{
    PyObject *found = py.PyLong_FromLong(got);
    PyObject *end = py.PyLong_FromUnsignedLongLong(lsn);
    PyObject *answer = NULL;
    if (found != NULL && end != NULL)
        answer = py.PyObject_CallFunctionObjArgs(reading->turn, found, end, NULL);
    python_drop(found);
    python_drop(end);
    int go_on = answer == NULL ? -1 : py.PyObject_IsTrue(answer);
    python_drop(answer);
    return go_on;
}

/* Looks for more in the log, without the interpreter's lock, and asks what to make of it: as
 * ask_turn(). */
static int look(struct reading *reading)
{
    void *thread = py.PyEval_SaveThread();
    int got = shmwal_reader_next_batch(reading->reader, reading->records, LOOK_RECORDS);
    py.PyEval_RestoreThread(thread);
    reading->next = 0;
    reading->count = got > 0 ? (size_t)got : 0;
    return ask_turn(reading, got, got > 0 ? reading->records[got - 1].lsn : 0);
}

/* The next record that is not left out: 1, or as ask_turn(). */
static int find_next(struct reading *reading, const shmwal_record **record)
{
    for (;;) {
        while (reading->next < reading->count) {
            *record = &reading->records[reading->next];
            if ((*record)->lsn > reading->until)
                return 0;
            reading->next++;
            if ((*record)->lsn > reading->after)
                return 1;
        }
        if (reading->count > 0 && reading->records[reading->count - 1].lsn >= reading->until)
            return 0;
        int go_on = look(reading);
        if (go_on <= 0)
            return go_on;
    }
}

static PyObject *make_value(const struct reading *reading, const shmwal_record *record)
{
    PyObject *value;
    if (reading->raw)
        value = python_pair(py.PyLong_FromLong((long)record->type),
                            py.PyBytes_FromStringAndSize(record->data, (ssize_t)record->length));
    else
        value = codec_decode(&reading->loads, reading->decode, record);
    if (reading->with_lsn && value != NULL)
        value = python_pair(py.PyLong_FromUnsignedLongLong(record->lsn), value);
    return value;
}

/* NULL without an exception is the end, for now at least. */
static PyObject *iterator_next(PyObject *self)
{
    struct reading *reading = reading_of(self);
    const shmwal_record *record;
    PyObject *value = NULL;
    if (reading == NULL)
        return NULL;
    if (reading->busy) {
        py.PyErr_SetString(*py.PyExc_ValueError,
                           "this iterator is already executing: it is for one thread at a time");
        return NULL;
    }
    reading->busy = true;
    if (find_next(reading, &record) == 1)
        value = make_value(reading, record);
    reading->busy = false;
    return value;
}

static PyObject *iterator_self(PyObject *self)
{
    return python_take(self);
}

/* ---- Its life ---- */

/* What the collector of cycles has to know: all references that lead on from here. But not that to
 * the owner, which leads nowhere: unknown, it is not finalized before those of the same cycle
 * whose finalizers may use this iterator. */
static int iterator_traverse(PyObject *self, int (*visit)(PyObject *, void *), void *context)
{
    const struct reading *reading = reading_of(self);
    int got = visit(python_type(self), context);
    if (got == 0 && reading != NULL) {
        got = visit(reading->decode, context);
        got = got != 0 ? got : visit(reading->turn, context);
        if (got == 0 && reading->loads.function != NULL)
            got = visit(reading->loads.function, context);
    }
    return got;
}

static void reading_free(struct reading *reading)
{
    python_drop(reading->turn);
    python_drop(reading->decode);
    python_drop(reading->loads.function);
    python_drop(reading->owner); /* may close the reader */
    free(reading);
}

static int iterator_clear(PyObject *self)
{
    struct reading *reading = reading_of(self);
    ((struct iterator *)self)->reading = NULL;
    if (reading != NULL)
        reading_free(reading);
    return 0;
}

static void iterator_free(PyObject *self)
{
    PyObject *type = python_type(self);
    py.PyObject_GC_UnTrack(self);
    iterator_clear(self);
    py.PyObject_GC_Del(self);
    python_drop(type);
}

SHMWAL_API PyObject *duralog_python_iterator_type(void)
{
    static struct python_slot slots[] = {
        {PYTHON_TP_DEALLOC, iterator_free},  {PYTHON_TP_TRAVERSE, iterator_traverse},
        {PYTHON_TP_CLEAR, iterator_clear},   {PYTHON_TP_ITER, iterator_self},
        {PYTHON_TP_ITERNEXT, iterator_next}, {0, NULL},
    };
    static struct python_type_spec spec = {"duralog.RecordIterator", sizeof(struct iterator), 0,
                                           PYTHON_TYPE_FLAGS, slots};
    return py.PyType_FromSpec(&spec);
}

SHMWAL_API PyObject *duralog_python_iterator(PyObject *type, PyObject *owner, shmwal_reader *reader,
                                             const struct python_reading *how, PyObject *loads,
                                             PyObject *decode, PyObject *turn)
{
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL)
        return py.PyErr_NoMemory();
    reading->reader = reader;
    reading->owner = python_take(owner);
    reading->decode = python_take(decode);
    reading->turn = python_take(turn);
    reading->loads = codec_given(loads, how->type, how->chosen != 0);
    reading->after = how->after;
    reading->until = how->until;
    reading->with_lsn = how->with_lsn != 0;
    reading->raw = how->raw != 0;
    struct iterator *self = (struct iterator *)py.PyType_GenericAlloc(type, 0);
    if (self == NULL) {
        reading_free(reading);
        return NULL;
    }
    self->reading = reading;
    return (PyObject *)self;
}
