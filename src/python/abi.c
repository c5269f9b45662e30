/* SPDX-License-Identifier: MIT
 * See abi.h. */
#include "python/abi.h"

#include <dlfcn.h>
#include <string.h>

struct python_abi py;

static bool find(void *place, const char *name)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    memcpy(place, &found, sizeof found);
    return found != NULL;
}

static bool is_type_second(PyObject *object)
{
    PyObject *type = py.PyObject_Type(object);
    py.Py_DecRef(type);
    return python_type(object) == type;
}

bool python_abi_find(const PyObject *dict_type)
{
    bool all = true;
#define FUNCTION(result, name, ...) all = find(&py.name, #name) && all;
#define OBJECT(name)                all = find(&py.name, #name) && all;
    PYTHON_FUNCTIONS(FUNCTION)
    PYTHON_OBJECTS(OBJECT)
    PYTHON_EXCEPTIONS(OBJECT)
#undef FUNCTION
#undef OBJECT
    if (!all || py.PyDict_Type != dict_type)
        return false;
    find(&py.PyObject_Vectorcall, "PyObject_Vectorcall");
    return is_type_second(py.PyDict_Type) && is_type_second(py._Py_NoneStruct) &&
           is_type_second(*py.PyExc_Exception);
}
