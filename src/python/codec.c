/* SPDX-License-Identifier: MIT
 * See codec.h. */
#include "python/codec.h"

#include <math.h>

/* What json has written, for orjson would misread it, begins so. */
enum { WRITTEN_BY_JSON = ' ' };

static bool is_plain(PyObject *value, int depth);

static bool is_plain_dict(PyObject *dict, int depth)
{
    PyObject *key, *value;
    ssize_t place = 0;
    while (py.PyDict_Next(dict, &place, &key, &value))
        if (!is_plain(value, depth))
            return false;
    return true;
}

static bool is_plain_list(PyObject *list, int depth)
{
    ssize_t size = py.PyList_Size(list);
    for (ssize_t i = 0; i < size; i++)
        if (!is_plain(py.PyList_GetItem(list, i), depth))
            return false;
    return true;
}

/* Whether orjson keeps the value as it is, keys aside: it refuses wrong ones by itself. No code of
 * the interpreter runs meanwhile, so nothing can change below. */
static bool is_plain(PyObject *value, int depth)
{
    PyObject *type = python_type(value);
    if (type == py.PyUnicode_Type || type == py.PyLong_Type || type == py.PyBool_Type ||
        value == py._Py_NoneStruct)
        return true;
    if (type == py.PyFloat_Type)
        return isfinite(py.PyFloat_AsDouble(value));
    if (type == py.PyDict_Type)
        return depth > 0 && is_plain_dict(value, depth - 1);
    if (type == py.PyList_Type)
        return depth > 0 && is_plain_list(value, depth - 1);
    return false;
}

/* An error of the record is found again, and named, by the package. */
static int decline(void)
{
    if (py.PyErr_Occurred() && !py.PyErr_ExceptionMatches(*py.PyExc_Exception))
        return CODEC_FAILED;
    py.PyErr_Clear();
    return CODEC_DECLINED;
}

static int encode_with(const struct codec *dumps, PyObject *record, struct payload *payload)
{
    char *data;
    ssize_t length;
    PyObject *bytes = python_call(dumps->function, record);
    if (bytes == NULL)
        return decline();
    if (py.PyBytes_AsStringAndSize(bytes, &data, &length) < 0) {
        python_drop(bytes);
        return decline();
    }
    *payload = (struct payload){data, (size_t)length, dumps->type, bytes};
    return CODEC_DONE;
}

static int encode_text(PyObject *record, struct payload *payload)
{
    ssize_t length;
    const char *data = py.PyUnicode_AsUTF8AndSize(record, &length);
    if (data == NULL)
        return decline();
    *payload = (struct payload){data, (size_t)length, SHMWAL_TEXT, NULL};
    return CODEC_DONE;
}

static int encode_bytes(PyObject *record, struct payload *payload)
{
    char *data;
    ssize_t length;
    if (py.PyBytes_AsStringAndSize(record, &data, &length) < 0)
        return decline();
    *payload = (struct payload){data, (size_t)length, SHMWAL_BYTES, NULL};
    return CODEC_DONE;
}

/* Which a codec that the user has chosen is not asked for. */
static bool is_text_or_bytes(PyObject *type)
{
    return py.PyType_IsSubtype(type, py.PyUnicode_Type) ||
           py.PyType_IsSubtype(type, py.PyBytes_Type) ||
           py.PyType_IsSubtype(type, py.PyByteArray_Type) || type == py.PyMemoryView_Type;
}

/* orjson, if that keeps the record as it is. */
static int encode_json(const struct codec *dumps, PyObject *record, char scratch[JSON_BYTES_MAX],
                       struct payload *payload)
{
    size_t length = json_write(record, scratch);
    if (length > 0) {
        *payload = (struct payload){scratch, length, SHMWAL_JSON, NULL};
        return CODEC_DONE;
    }
    if (dumps->function == NULL || !is_plain(record, JSON_DEPTH_MAX))
        return CODEC_DECLINED;
    return encode_with(dumps, record, payload);
}

int codec_encode(const struct codec *dumps, PyObject *record, char scratch[JSON_BYTES_MAX],
                 struct payload *payload)
{
    PyObject *type = python_type(record);
    if (type == py.PyBytes_Type)
        return encode_bytes(record, payload);
    if (type == py.PyUnicode_Type)
        return encode_text(record, payload);
    if (dumps->chosen)
        return is_text_or_bytes(type) ? CODEC_DECLINED : encode_with(dumps, record, payload);
    if (type == py.PyDict_Type || type == py.PyList_Type)
        return encode_json(dumps, record, scratch, payload);
    return CODEC_DECLINED;
}

/* The package's own function, for what is no plain case. */
static PyObject *decode_with_care(PyObject *decode, uint32_t type, PyObject *bytes)
{
    PyObject *number = py.PyLong_FromLong((long)type);
    if (number == NULL)
        return NULL;
    PyObject *value = py.PyObject_CallFunctionObjArgs(decode, number, bytes, NULL);
    python_drop(number);
    return value;
}

static bool takes(const struct codec *loads, const shmwal_record *record)
{
    if (loads->function == NULL || loads->type != record->type)
        return false;
    return loads->chosen || (record->length > 0 && *(const char *)record->data != WRITTEN_BY_JSON);
}

PyObject *codec_decode(const struct codec *loads, PyObject *decode, const shmwal_record *record)
{
    PyObject *value = NULL;
    if (record->type == SHMWAL_TEXT) {
        value = py.PyUnicode_DecodeUTF8(record->data, (ssize_t)record->length, NULL);
        if (value != NULL || decline() == CODEC_FAILED)
            return value;
    }
    PyObject *bytes = py.PyBytes_FromStringAndSize(record->data, (ssize_t)record->length);
    if (bytes == NULL || record->type == SHMWAL_BYTES)
        return bytes;
    bool done = false;
    if (takes(loads, record)) {
        value = python_call(loads->function, bytes);
        done = value != NULL || loads->chosen || decline() == CODEC_FAILED;
    }
    if (!done)
        value = decode_with_care(decode, record->type, bytes);
    python_drop(bytes);
    return value;
}
