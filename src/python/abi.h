/* SPDX-License-Identifier: MIT
 *
 * The interpreter that has loaded this library, as far as its stable ABI goes: functions that
 * every CPython since 3.9 exports, found by name at run time. So the library is built without
 * Python's headers, depends on libc alone, and serves all versions. Objects are opaque but for the
 * place of their type.
 *
 * Where it is not to be had (PyPy, an interpreter that exports nothing, one without its lock, where
 * borrowed references would not be safe), nothing of src/python/ is used, and the package does the
 * same work through ctypes.
 *
 * Knows nobody. Changes when a function of the interpreter is needed, or no longer. */
#ifndef PYTHON_ABI_H
#define PYTHON_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct python_object PyObject; /* what it consists of is the interpreter's business */
typedef PyObject *(*python_function)(PyObject *self, PyObject *argument);
typedef void (*python_destructor)(PyObject *capsule);

/* PyMethodDef, one of the few structs that the stable ABI lays down. */
struct python_method {
    const char *name;
    python_function function;
    int flags;
    const char *doc;
};

enum { PYTHON_ONE_ARGUMENT = 8 }; /* METH_O */

/* PyType_Slot and PyType_Spec. */
struct python_slot {
    int slot;
    void *function;
};

struct python_type_spec {
    const char *name;
    int bytes, item_bytes;
    unsigned flags;
    struct python_slot *slots;
};

enum {
    PYTHON_TP_CLEAR = 51,
    PYTHON_TP_DEALLOC = 52,
    PYTHON_TP_ITER = 62,
    PYTHON_TP_ITERNEXT = 63,
    PYTHON_TP_TRAVERSE = 71,
    /* Py_TPFLAGS_DISALLOW_INSTANTIATION, which 3.9 does not know, _HAVE_GC, _DEFAULT */
    PYTHON_TYPE_FLAGS = 1 << 7 | 1 << 14 | 1 << 18,
};

/* Result, name, parameters. All but PyUnicode_AsUTF8AndSize have been in the limited API since 3.9
 * at least; that one has been exported all the time and joined in 3.10. */
/* clang-format off */
#define PYTHON_FUNCTIONS(X) \
    X(void, Py_IncRef, PyObject *) \
    X(void, Py_DecRef, PyObject *) \
    X(PyObject *, PyObject_Type, PyObject *) \
    X(int, PyType_IsSubtype, PyObject *, PyObject *) \
    X(PyObject *, PyObject_CallFunctionObjArgs, PyObject *, ...) \
    X(int, PyObject_IsTrue, PyObject *) \
    X(void, PyObject_GC_UnTrack, void *) \
    X(void, PyObject_GC_Del, void *) \
    X(PyObject *, PyType_FromSpec, struct python_type_spec *) \
    X(PyObject *, PyType_GenericAlloc, PyObject *, ssize_t) \
    X(PyObject *, PyIter_Next, PyObject *) \
    X(int, PyDict_Next, PyObject *, ssize_t *, PyObject **, PyObject **) \
    X(ssize_t, PyList_Size, PyObject *) \
    X(PyObject *, PyList_GetItem, PyObject *, ssize_t) \
    X(PyObject *, PyTuple_Pack, ssize_t, ...) \
    X(double, PyFloat_AsDouble, PyObject *) \
    X(PyObject *, PyLong_FromUnsignedLongLong, unsigned long long) \
    X(PyObject *, PyLong_FromLong, long) \
    X(long long, PyLong_AsLongLongAndOverflow, PyObject *, int *) \
    X(PyObject *, PyBytes_FromStringAndSize, const char *, ssize_t) \
    X(int, PyBytes_AsStringAndSize, PyObject *, char **, ssize_t *) \
    X(PyObject *, PyUnicode_DecodeUTF8, const char *, ssize_t, const char *) \
    X(const char *, PyUnicode_AsUTF8AndSize, PyObject *, ssize_t *) \
    X(PyObject *, PyCFunction_NewEx, struct python_method *, PyObject *, PyObject *) \
    X(PyObject *, PyCapsule_New, void *, const char *, python_destructor) \
    X(void *, PyCapsule_GetPointer, PyObject *, const char *) \
    X(PyObject *, PyErr_Occurred, void) \
    X(int, PyErr_ExceptionMatches, PyObject *) \
    X(void, PyErr_Clear, void) \
    X(void, PyErr_SetString, PyObject *, const char *) \
    X(PyObject *, PyErr_NoMemory, void) \
    X(void *, PyEval_SaveThread, void) \
    X(void, PyEval_RestoreThread, void *)

/* Objects: types and None are the exported thing itself, exceptions what it points to. */
#define PYTHON_OBJECTS(X) \
    X(PyDict_Type) X(PyList_Type) X(PyUnicode_Type) X(PyBytes_Type) X(PyByteArray_Type) \
    X(PyMemoryView_Type) X(PyLong_Type) X(PyFloat_Type) X(PyBool_Type) X(_Py_NoneStruct) \
    X(_Py_TrueStruct) X(_Py_FalseStruct)

#define PYTHON_EXCEPTIONS(X) X(PyExc_Exception) X(PyExc_ValueError)
/* clang-format on */

struct python_abi {
#define FUNCTION(result, name, ...) result (*(name))(__VA_ARGS__);
#define OBJECT(name)                PyObject *(name);
#define EXCEPTION(name)             PyObject **(name);
    PYTHON_FUNCTIONS(FUNCTION)
    PYTHON_OBJECTS(OBJECT)
    PYTHON_EXCEPTIONS(EXCEPTION)
#undef FUNCTION
#undef OBJECT
#undef EXCEPTION
    /* Exported since 3.11, in the limited API since 3.12; NULL before. */
    PyObject *(*PyObject_Vectorcall)(PyObject *, PyObject *const *, size_t, PyObject *);
};

/* The same for all interpreters of a process; written once, by python_abi_find(). */
extern struct python_abi py;

/* Whether all of it was found, in the very interpreter whose `dict` is given, and objects begin as
 * python_type() has it. To be called before anything else here, with the interpreter's lock. */
bool python_abi_find(const PyObject *dict_type);

/* An object's type, which lives as long as the object does. It stands in the second word: the
 * stable ABI lays that down, since its extensions look there by themselves, for all builds but
 * those without the interpreter's lock. python_abi_find() makes sure of it. */
static inline PyObject *python_type(PyObject *object)
{
    return ((PyObject **)object)[1];
}

static inline PyObject *python_call(PyObject *function, PyObject *argument)
{
    if (py.PyObject_Vectorcall != NULL)
        return py.PyObject_Vectorcall(function, &argument, 1, NULL);
    return py.PyObject_CallFunctionObjArgs(function, argument, NULL);
}

/* A reference more, and one less; NULL is none. */
static inline PyObject *python_take(PyObject *object)
{
    py.Py_IncRef(object);
    return object;
}

static inline void python_drop(PyObject *object)
{
    py.Py_DecRef(object);
}

/* A tuple of both, whose references it takes; NULL if one of them is. */
static inline PyObject *python_pair(PyObject *first, PyObject *second)
{
    PyObject *tuple = first != NULL && second != NULL ? py.PyTuple_Pack(2, first, second) : NULL;
    python_drop(first);
    python_drop(second);
    return tuple;
}

/* None, as a new reference. */
static inline PyObject *python_none(void)
{
    return python_take(py._Py_NoneStruct);
}

#endif
