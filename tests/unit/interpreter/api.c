/* api.c - exceptions, sequences, dictionaries, modules: the rest of the C API. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/interpreter/interpreter.h"

static char builtin_type[TYPE_BYTES], module_type[TYPE_BYTES], error_type[TYPE_BYTES];
python_object *PyExc_TypeError = (python_object *)(error_type + 0),
              *PyExc_ValueError = (python_object *)(error_type + 16),
              *PyExc_RuntimeError = (python_object *)(error_type + 32);
int Py_IgnoreEnvironmentFlag, Py_VerboseFlag;

/* exceptions: of this thread; type, text, and something for a traceback */

static _Thread_local struct pending {
    python_object *type, *value, *trace;
    char text[256];
} pending;

void enter_api(const char *function, bool can_raise)
{
    if (interpreter_current() == NULL)
        interpreter_fault("%s without an interpreter's lock", function);
    if (can_raise && pending.type != NULL)
        interpreter_fault("%s while an exception is pending: %s", function, pending.text);
}

bool is_to_fail(const char *function)
{
    if (interpreter.failing == NULL || strcmp(interpreter.failing, function) != 0)
        return false;
    interpreter.failing = NULL;
    raise_pending("MemoryError");
    return true;
}

const python_object *pending_type(void)
{
    return pending.type;
}

const char *pending_text(void)
{
    return pending.text;
}

void raise_pending(const char *text)
{
    pending.type = PyExc_RuntimeError;
    pending.value = (python_object *)pending.text;
    pending.trace = (python_object *)&pending;
    snprintf(pending.text, sizeof pending.text, "%s", text);
}

void PyErr_Fetch(python_object **type, python_object **value, python_object **trace)
{
    enter_api(__func__, false);
    *type = pending.type;
    *value = pending.value;
    *trace = pending.trace;
    pending.type = pending.value = pending.trace = NULL;
}

void PyErr_Restore(python_object *type, python_object *value, python_object *trace)
{
    enter_api(__func__, false);
    pending.type = type;
    pending.value = value;
    pending.trace = trace;
}

void PyErr_Clear(void)
{
    PyErr_Restore(NULL, NULL, NULL);
}

python_object *PyErr_Format(python_object *type, const char *format, ...)
{
    va_list arguments;
    enter_api(__func__, true);
    raise_pending("");
    pending.type = type;
    va_start(arguments, format);
    vsnprintf(pending.text, sizeof pending.text, format, arguments);
    va_end(arguments);
    return NULL;
}

/* strings */

python_object *PyUnicode_FromString(const char *text)
{
    enter_api(__func__, true);
    return is_to_fail(__func__) ? NULL : new_string(text);
}

python_object *PyString_FromString(const char *text)
{
    return PyUnicode_FromString(text);
}

ssize_t PyUnicode_GetLength(python_object *string)
{
    enter_api(__func__, true);
    return (ssize_t)object_of(string, STRING, __func__)->count;
}

uint32_t PyUnicode_ReadChar(python_object *string, ssize_t index)
{
    enter_api(__func__, true);
    const struct object *header = object_of(string, STRING, __func__);
    if (index < 0 || (size_t)index >= header->count)
        interpreter_fault("%s: %zd of %zu", __func__, index, header->count);
    return header->characters[index];
}

const char *PyUnicode_AsUTF8AndSize(python_object *string, ssize_t *size)
{
    enter_api(__func__, true);
    const struct object *header = object_of(string, STRING, __func__);
    *size = (ssize_t)header->count;
    for (size_t i = 0; i < header->count; i++)
        if (header->characters[i] >= 0x80) { /* tests use no others than surrogates */
            raise_pending("UnicodeEncodeError");
            return NULL;
        }
    return text_of(string);
}

python_object *PyObject_Str(python_object *object)
{
    enter_api(__func__, true);
    object_of(object, STRING, __func__);
    own(object);
    return is_to_fail(__func__) ? NULL : object;
}

/* sequences and dictionaries */

static python_object *item(python_object *sequence, enum kind kind, ssize_t index)
{
    const struct object *header = object_of(sequence, kind, __func__);
    if (index < 0 || (size_t)index >= header->count)
        interpreter_fault("item %zd of %zu", index, header->count);
    return header->items[index];
}

ssize_t PyTuple_Size(python_object *tuple)
{
    enter_api(__func__, true);
    return (ssize_t)object_of(tuple, TUPLE, __func__)->count;
}

python_object *PyTuple_GetItem(python_object *tuple, ssize_t index)
{
    enter_api(__func__, true);
    return item(tuple, TUPLE, index);
}

ssize_t PyList_Size(python_object *list)
{
    enter_api(__func__, true);
    return (ssize_t)object_of(list, LIST, __func__)->count;
}

python_object *PyList_GetItem(python_object *list, ssize_t index)
{
    enter_api(__func__, true);
    return item(list, LIST, index);
}

int PyArg_ParseTuple(python_object *arguments, const char *format, ...)
{
    va_list results;
    enter_api(__func__, true);
    if (strncmp(format, "O:", 2) != 0)
        interpreter_fault("%s: %s", __func__, format);
    if (PyTuple_Size(arguments) != 1) {
        raise_pending("TypeError: takes exactly 1 argument");
        return 0;
    }
    va_start(results, format);
    *va_arg(results, python_object **) = item(arguments, TUPLE, 0);
    va_end(results);
    return 1;
}

python_object *PyDict_New(void)
{
    enter_api(__func__, true);
    return is_to_fail(__func__) ? NULL : new_object(DICTIONARY, PyDict_Type, 64);
}

python_object *dictionary_get(python_object *dictionary, const char *key)
{
    const struct object *header = object_of(dictionary, DICTIONARY, __func__);
    for (size_t i = 0; i < header->count; i++)
        if (strcmp(text_of(header->items[2 * i]), key) == 0)
            return header->items[2 * i + 1];
    return NULL;
}

void dictionary_set(python_object *dictionary, const char *key, python_object *value)
{
    struct object *header = object_of(dictionary, DICTIONARY, __func__);
    own(value);
    for (size_t i = 0; i < header->count; i++)
        if (strcmp(text_of(header->items[2 * i]), key) == 0) {
            python_object *before = header->items[2 * i + 1];
            header->items[2 * i + 1] = value;
            Py_DecRef(before);
            return;
        }
    header->items = realloc(header->items, 2 * (header->count + 1) * sizeof *header->items);
    header->items[2 * header->count] = new_string(key);
    header->items[2 * header->count + 1] = value;
    header->count++;
}

/* Clears the error of a failed lookup, so no exception may be pending (Objects/dictobject.c). */
python_object *PyDict_GetItemString(python_object *dictionary, const char *key)
{
    enter_api(__func__, true);
    return dictionary_get(dictionary, key);
}

int PyDict_SetItemString(python_object *dictionary, const char *key, python_object *value)
{
    enter_api(__func__, true);
    if (is_to_fail(__func__))
        return -1;
    dictionary_set(dictionary, key, value);
    return 0;
}

int PyDict_DelItemString(python_object *dictionary, const char *key)
{
    enter_api(__func__, true);
    struct object *header = object_of(dictionary, DICTIONARY, __func__);
    for (size_t i = 0; i < header->count; i++)
        if (strcmp(text_of(header->items[2 * i]), key) == 0) {
            Py_DecRef(header->items[2 * i]);
            Py_DecRef(header->items[2 * i + 1]);
            header->count--;
            memmove(&header->items[2 * i], &header->items[2 * header->count],
                    2 * sizeof *header->items);
            return 0;
        }
    raise_pending("KeyError");
    return -1;
}

int PyDict_Next(python_object *dictionary, ssize_t *at, python_object **key, python_object **value)
{
    enter_api(__func__, false);
    const struct object *header = object_of(dictionary, DICTIONARY, __func__);
    if (*at >= (ssize_t)header->count)
        return 0;
    *key = header->items[2 * *at];
    *value = header->items[2 * *at + 1];
    ++*at;
    return 1;
}

/* truth and nothing */

static python_object *truth(bool value)
{
    python_object *object = none();
    object_of(object, NONE, __func__)->count = value;
    return object;
}

python_object *PyBool_FromLong(long value)
{
    enter_api(__func__, true);
    return truth(value != 0);
}

int PyObject_IsTrue(python_object *object)
{
    enter_api(__func__, true);
    return object_of(object, NONE, __func__)->count != 0;
}

python_object *Py_BuildValue(const char *format, ...)
{
    enter_api(__func__, true);
    bool is_tuple = strcmp(format, "()") == 0;
    if (*format != '\0' && !is_tuple)
        interpreter_fault("%s: %s", __func__, format);
    return is_to_fail(__func__) ? NULL : is_tuple ? new_tuple(0) : none();
}

/* modules */

python_object *PyCFunction_NewEx(void *method, python_object *self, python_object *module_name)
{
    enter_api(__func__, true);
    (void)self, (void)module_name;
    if (is_to_fail(__func__))
        return NULL;
    python_object *builtin = new_object(BUILTIN, builtin_type, 64);
    object_of(builtin, BUILTIN, __func__)->definition = method;
    return builtin;
}

static python_object *new_module(const char *name)
{
    python_object *module = new_object(MODULE, module_type, 64), *attributes = PyDict_New();
    struct object *header = object_of(module, MODULE, __func__);
    header->items = calloc(1, sizeof *header->items);
    header->items[0] = attributes;
    header->count = 1;
    if (builtin_type[0] == '\0') {
        set_type(builtin_type, "builtin_function_or_method", NULL);
        set_type(module_type, "module", NULL);
        put_field(module, interpreter.row.head + OBJECT_TYPE, module_type);
    }
    dictionary_set(interpreter_current()->modules, name, module);
    return module;
}

python_object *PyImport_GetModuleDict(void)
{
    enter_api(__func__, false);
    return interpreter_current()->modules;
}

python_object *PyImport_AddModule(const char *name)
{
    enter_api(__func__, true);
    python_object *module = dictionary_get(interpreter_current()->modules, name);
    if (module == NULL && !is_to_fail(__func__)) {
        module = new_module(name);
        Py_DecRef(module);
    }
    return module;
}

python_object *PyImport_ImportModuleLevel(const char *name, python_object *globals,
                                          python_object *locals, python_object *from, int level)
{
    enter_api(__func__, true);
    (void)globals, (void)locals, (void)from, (void)level;
    python_object *module = PyImport_AddModule(name);
    if (module != NULL)
        own(module);
    return module;
}

void *PyModule_GetDef(python_object *module)
{
    enter_api(__func__, true);
    return (void *)object_of(module, MODULE, __func__)->definition;
}

python_object *PyModule_GetDict(python_object *module)
{
    enter_api(__func__, true);
    return object_of(module, MODULE, __func__)->items[0];
}

python_object *PySys_GetObject(const char *name)
{
    enter_api(__func__, false);
    return dictionary_get(interpreter_current()->sys, name);
}

int PySys_SetObject(const char *name, python_object *value)
{
    enter_api(__func__, true);
    if (is_to_fail(__func__))
        return -1;
    dictionary_set(interpreter_current()->sys, name, value);
    return 0;
}

char sys_definition[128];
struct method_definition sys_methods[3] = {
    {"intern", NULL, METH_O, "Intern."},
    {"deactivate_stack_trampoline", NULL, METH_NOARGS, "Documented by the interpreter."},
};

void define_sys(bool with_copy)
{
    const struct method_definition *methods = sys_methods;
    python_object *sys = PyImport_AddModule("sys"), *copy = with_copy ? PyDict_New() : NULL;
    memset(sys_definition, 0, sizeof sys_definition);
    memcpy(sys_definition + MODULE_DEF_METHODS, &methods, sizeof methods);
    memcpy(sys_definition + MODULE_DEF_COPY, &copy, sizeof copy);
    object_of(sys, MODULE, __func__)->definition = sys_definition;
}

/* Modules of 2.7 are copied by name and file; the one that tests have is sys. */
static python_object *copied;

python_object *_PyImport_FindExtension(const char *name, const char *file)
{
    enter_api(__func__, true);
    if (strcmp(file, "sys") != 0 || is_to_fail(__func__))
        return NULL;
    python_object *module = new_module(name);
    Py_DecRef(module);
    for (size_t i = 0; copied != NULL && i < object_of(copied, DICTIONARY, __func__)->count; i++)
        dictionary_set(PyModule_GetDict(module),
                       text_of(object_of(copied, DICTIONARY, __func__)->items[2 * i]),
                       object_of(copied, DICTIONARY, __func__)->items[2 * i + 1]);
    return module;
}

python_object *_PyImport_FixupExtension(const char *name, const char *file)
{
    enter_api(__func__, true);
    python_object *module = dictionary_get(interpreter_current()->modules, name);
    if (module == NULL || strcmp(file, "sys") != 0)
        interpreter_fault("%s: %s of %s", __func__, name, file);
    copied = PyModule_GetDict(module);
    own(copied);
    return copied;
}

python_object *PyObject_CallMethod(python_object *object, const char *name, const char *format, ...)
{
    va_list arguments;
    enter_api(__func__, true);
    object_of(object, MODULE, __func__);
    if (is_to_fail(name))
        return NULL;
    if (strcmp(name, "get_objects") == 0)
        return all_functions_and_classes();
    if (strcmp(name, "is_enabled") == 0)
        return truth(interpreter.jit);
    if (strcmp(name, "signal") != 0 || strcmp(format, "iO") != 0)
        interpreter_fault("%s: %s", __func__, name);
    va_start(arguments, format);
    interpreter.signal.number = va_arg(arguments, int);
    interpreter.signal.handler = va_arg(arguments, python_object *);
    va_end(arguments);
    own(interpreter.signal.handler);
    return none();
}
