/* SPDX-License-Identifier: MIT
 *
 * What DuraLog.append and append_many call first: builtin functions, bound to a handle, for all
 * that goes well. They never wait. What cannot be done at once (the ring is full, the handle is
 * closed, the record is no plain case) they leave to the package, which knows deadlines, errors
 * and Ctrl-C.
 *
 * What protects the handle: a function is bound to a capsule, and that holds the package's object
 * which closes the handle when its last reference goes. Whoever calls holds the function. So a
 * thread may close the log while others append. And the collector of cycles, which does not look
 * into capsules, does not finalize that object before others whose finalizers still append.
 *
 * Knows codec, abi, shmwal.h. Changes with the package's _appending.py. */
#include "python/codec.h"
#include "python/python.h"

#include <stdlib.h>
#include <string.h>

#define APPENDER "duralog.appender"

enum {
    /* From here on to copy takes longer than to let others run. The scratch is smaller. */
    LARGE_BYTES = 64 * 1024,
    BATCH_BYTES = 64 * 1024, /* of payload: what shares a reservation */
    BATCH_RECORDS = 2048,
    TURN_RECORDS = 8192, /* of append_many, before the interpreter may do something else */
    TURN_BYTES = 1 << 20,
};

struct appender {
    shmwal *log;
    PyObject *owner; /* of the handle */
    struct codec dumps;
    char scratch[JSON_BYTES_MAX];
};

/* A record's status: 0 with *lsn set, or a negative errno. */
static int append_payload(shmwal *log, const struct payload *payload, uint64_t *lsn)
{
    bool large = payload->length >= LARGE_BYTES;
    void *thread = large ? py.PyEval_SaveThread() : NULL;
    int status = shmwal_append_for(log, payload->data, payload->length, payload->type, 0, lsn);
    if (large)
        py.PyEval_RestoreThread(thread);
    return status;
}

/* append(record): its LSN, or None, and then nothing has happened. */
static PyObject *append(PyObject *self, PyObject *record)
{
    struct appender *appender = py.PyCapsule_GetPointer(self, APPENDER);
    struct payload payload;
    uint64_t lsn;
    if (appender == NULL)
        return NULL;
    int got = codec_encode(&appender->dumps, record, appender->scratch, &payload);
    if (got != CODEC_DONE)
        return got == CODEC_DECLINED ? python_none() : NULL;
    int status = append_payload(appender->log, &payload, &lsn);
    payload_release(&payload);
    return status < 0 ? python_none() : py.PyLong_FromUnsignedLongLong(lsn);
}

/* ---- Many ---- */

/* Records on their way, end to end, and how far append_many has come. */
struct batch {
    uint64_t lsn;
    size_t appended, bytes_appended; /* in the log, by this call */
    size_t count, bytes;             /* staged */
    uint32_t lengths[BATCH_RECORDS];
    uint8_t types[BATCH_RECORDS];
    char data[BATCH_BYTES];
};

static bool fits(const struct batch *batch, size_t length)
{
    return batch->count < BATCH_RECORDS && length <= BATCH_BYTES - batch->bytes;
}

static void stage(struct batch *batch, const struct payload *payload)
{
    memcpy(batch->data + batch->bytes, payload->data, payload->length);
    batch->bytes += payload->length;
    batch->lengths[batch->count] = (uint32_t)payload->length;
    batch->types[batch->count] = (uint8_t)payload->type;
    batch->count++;
}

/* Appends what is staged; what the log does not take now stays staged. */
static bool flush_staged(shmwal *log, struct batch *batch)
{
    size_t done = 0, bytes = 0;
    int status = shmwal_append_batch(log, batch->data, batch->lengths, batch->types, batch->count,
                                     0, &batch->lsn, &done);
    for (size_t i = 0; i < done; i++)
        bytes += batch->lengths[i];
    batch->count -= done;
    batch->bytes -= bytes;
    batch->appended += done;
    batch->bytes_appended += bytes;
    if (batch->count > 0) {
        memmove(batch->data, batch->data + bytes, batch->bytes);
        memmove(batch->lengths, batch->lengths + done, batch->count * sizeof *batch->lengths);
        memmove(batch->types, batch->types + done, batch->count);
    }
    return status == 0;
}

/* Stages an encoded record, or appends it. False: the log takes no more now, and not this one. */
static bool take(shmwal *log, struct batch *batch, const struct payload *payload)
{
    if (!fits(batch, payload->length) && !flush_staged(log, batch))
        return false;
    if (fits(batch, payload->length)) {
        stage(batch, payload);
        return true;
    }
    if (append_payload(log, payload, &batch->lsn) < 0)
        return false;
    batch->appended++;
    batch->bytes_appended += payload->length;
    return true;
}

static bool turn_is_over(const struct batch *batch)
{
    return batch->appended + batch->count >= TURN_RECORDS ||
           batch->bytes_appended + batch->bytes >= TURN_BYTES;
}

/* Takes records of the iterator until the turn is over. `*left`, a new reference: None at the
 * iterator's end, a tuple of the record that has to be seen to, or an empty tuple. -1 with an
 * exception set, and then what was staged is lost. */
static int run_turn(struct appender *appender, PyObject *iterator, struct batch *batch,
                    PyObject **left)
{
    while (!turn_is_over(batch)) {
        struct payload payload;
        PyObject *record = py.PyIter_Next(iterator);
        if (record == NULL) {
            *left = py.PyErr_Occurred() ? NULL : python_none();
            return *left == NULL ? -1 : 0;
        }
        int got = codec_encode(&appender->dumps, record, appender->scratch, &payload);
        bool taken = false;
        if (got == CODEC_DONE) {
            taken = take(appender->log, batch, &payload);
            payload_release(&payload);
        }
        if (got == CODEC_DECLINED || (got == CODEC_DONE && !taken))
            *left = py.PyTuple_Pack(1, record);
        python_drop(record);
        if (!taken)
            return *left == NULL ? -1 : 0;
    }
    *left = py.PyTuple_Pack(0);
    return *left == NULL ? -1 : 0;
}

/* (appended, lsn, data, lengths, types, left): what is in the log by now, the last LSN of it (0 if
 * nothing is), what was encoded but is not in the log, and run_turn's `left`. */
static PyObject *many_result(const struct batch *batch, PyObject *left)
{
    PyObject *parts[] = {
        py.PyLong_FromUnsignedLongLong(batch->appended),
        py.PyLong_FromUnsignedLongLong(batch->lsn),
        py.PyBytes_FromStringAndSize(batch->data, (ssize_t)batch->bytes),
        py.PyBytes_FromStringAndSize((const char *)batch->lengths,
                                     (ssize_t)(batch->count * sizeof *batch->lengths)),
        py.PyBytes_FromStringAndSize((const char *)batch->types, (ssize_t)batch->count),
    };
    PyObject *result = NULL;
    if (parts[0] != NULL && parts[1] != NULL && parts[2] != NULL && parts[3] != NULL &&
        parts[4] != NULL)
        result = py.PyTuple_Pack(6, parts[0], parts[1], parts[2], parts[3], parts[4], left);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        python_drop(parts[i]);
    return result;
}

/* append_many(iterator): a turn of it. */
static PyObject *append_many(PyObject *self, PyObject *iterator)
{
    struct appender *appender = py.PyCapsule_GetPointer(self, APPENDER);
    PyObject *left = NULL, *result = NULL;
    if (appender == NULL)
        return NULL;
    struct batch *batch = malloc(sizeof *batch);
    if (batch == NULL)
        return py.PyErr_NoMemory();
    batch->lsn = batch->appended = batch->bytes_appended = batch->count = batch->bytes = 0;
    if (run_turn(appender, iterator, batch, &left) == 0) {
        if (batch->count > 0)
            flush_staged(appender->log, batch);
        result = many_result(batch, left);
        python_drop(left);
    }
    free(batch);
    return result;
}

/* ---- Making them ---- */

static struct python_method append_method = {"append", append, PYTHON_ONE_ARGUMENT,
                                             "append(record): its LSN; None if it was declined"};
static struct python_method many_method = {"append_many", append_many, PYTHON_ONE_ARGUMENT,
                                           "append_many(iterator): a turn of it"};

static void appender_free(PyObject *capsule)
{
    struct appender *appender = py.PyCapsule_GetPointer(capsule, APPENDER);
    python_drop(appender->dumps.function);
    python_drop(appender->owner); /* may close the handle */
    free(appender);
}

SHMWAL_API PyObject *duralog_python_appender(PyObject *owner, shmwal *log, PyObject *dumps,
                                             uint32_t type, int chosen)
{
    struct appender *appender = malloc(sizeof *appender);
    if (appender == NULL)
        return py.PyErr_NoMemory();
    appender->log = log;
    appender->owner = python_take(owner);
    appender->dumps = codec_given(dumps, type, chosen != 0);
    PyObject *capsule = py.PyCapsule_New(appender, APPENDER, appender_free);
    if (capsule == NULL) {
        python_drop(appender->dumps.function);
        python_drop(owner);
        free(appender);
        return NULL;
    }
    PyObject *pair = python_pair(py.PyCFunction_NewEx(&append_method, capsule, NULL),
                                 py.PyCFunction_NewEx(&many_method, capsule, NULL));
    python_drop(capsule);
    return pair;
}

SHMWAL_API int duralog_python_usable(const PyObject *dict_type)
{
    return python_abi_find(dict_type);
}
