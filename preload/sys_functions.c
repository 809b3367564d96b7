#include "sys_functions.h"

#include <stdlib.h>
#include <string.h>

#include "functions.h"
#include "profile.h"

/* Include/object.h: PyTypeObject.tp_name */
enum { TYPE_NAME = 24 };

static const struct python *python;

/* The interpreter's own functions, in the order of `added`; NULL where it has none. */
static python_object *own[3];
enum { OWN_ACTIVATE, OWN_DEACTIVATE, OWN_IS_ACTIVE };

static python_object *none(void)
{
    return python->Py_BuildValue("");
}

static python_object *activate(python_object *self, python_object *backend)
{
    (void)self;
    python_object *type = python_field(backend, OBJECT_TYPE);
    if (!python->PyType_IsSubtype(type, python->PyUnicode_Type)) {
        const char *name = (const char *)python_field(type, TYPE_NAME);
        return python->PyErr_Format(*python->PyExc_TypeError,
                                    "activate_stack_trampoline() argument must be str, not %.50s",
                                    strcmp(name, "NoneType") == 0 ? "None" : name);
    }
    ssize_t length;
    const char *text = python->PyUnicode_AsUTF8AndSize(backend, &length);
    if (text == NULL)
        return NULL;
    if (strlen(text) != (size_t)length)
        return python->PyErr_Format(*python->PyExc_ValueError, "embedded null character");
    bool jitdump = strcmp(text, "perf_jit") == 0;
    if (!jitdump && strcmp(text, "perf") != 0)
        return python->PyErr_Format(*python->PyExc_ValueError, "invalid backend: %s", text);
    if (own[OWN_ACTIVATE] != NULL && !jitdump) {
        profile_deactivate();
        return python->PyObject_CallFunction(own[OWN_ACTIVATE], "s", text);
    }
    if (!functions_prepare())
        return NULL;
    sys_functions_stop_own();
    struct failure why = {.code = FAILURE_NONE};
    if (!profile_activate(jitdump ? REGISTRY_JITDUMP : REGISTRY_MAP, &why))
        return python->PyErr_Format(*python->PyExc_RuntimeError, "%s: %s",
                                    failure_message(why.code), why.what);
    return none();
}

static python_object *activate_from_tuple(python_object *self, python_object *arguments)
{
    python_object *backend;
    if (!python->PyArg_ParseTuple(arguments, "O:activate_stack_trampoline", &backend))
        return NULL;
    return activate(self, backend);
}

static python_object *deactivate(python_object *self, python_object *nothing)
{
    (void)self, (void)nothing;
    profile_deactivate();
    if (own[OWN_DEACTIVATE] != NULL)
        return python->PyObject_CallFunction(own[OWN_DEACTIVATE], NULL);
    return none();
}

static python_object *is_active(python_object *self, python_object *nothing)
{
    (void)self, (void)nothing;
    if (!profile_is_active() && own[OWN_IS_ACTIVE] != NULL)
        return python->PyObject_CallFunction(own[OWN_IS_ACTIVE], NULL);
    return python->PyBool_FromLong(profile_is_active());
}

/* Names, signatures and docstrings are the interface that 3.12 documents. */
static const struct method_definition added[] = {
    {"activate_stack_trampoline", activate, METH_O,
     "activate_stack_trampoline($module, backend, /)\n--\n\n"
     "Activate stack profiler trampoline *backend*."},
    {"deactivate_stack_trampoline", deactivate, METH_NOARGS,
     "deactivate_stack_trampoline($module, /)\n--\n\n"
     "Deactivate the current stack profiler trampoline backend.\n\n"
     "If no stack profiler is activated, this function has no effect."},
    {"is_stack_trampoline_active", is_active, METH_NOARGS,
     "is_stack_trampoline_active($module, /)\n--\n\n"
     "Return *True* if a stack profiler trampoline is active."},
};
enum { ADDED = sizeof added / sizeof added[0] };

/* The methods that are there and ours. The table is used for as long as the process lives. */
static struct method_definition *extended_table(const struct method_definition *present)
{
    size_t count = 0;
    while (present[count].name != NULL)
        count++;
    struct method_definition *table = calloc(count + ADDED + 1, sizeof *table);
    if (table != NULL) {
        memcpy(table, present, count * sizeof *table);
        memcpy(table + count, added, sizeof added);
        if (python->layout->sys_parses_tuples) {
            table[count].function = activate_from_tuple;
            table[count].flags = METH_VARARGS;
        }
    }
    return table;
}

static bool add_to_module(python_object *module, python_object *copy,
                          struct method_definition *method)
{
    python_object *module_name = python->PyUnicode_FromString("sys");
    python_object *function =
        module_name == NULL ? NULL : python->PyCFunction_NewEx(method, module, module_name);
    bool done = function != NULL && python->PySys_SetObject(method->name, function) == 0 &&
                (copy == NULL || python->PyDict_SetItemString(copy, method->name, function) == 0);
    if (module_name != NULL)
        python->Py_DecRef(module_name);
    if (function != NULL)
        python->Py_DecRef(function);
    return done;
}

/* The switches are evaluated in the first frames, before the interpreter acts on what it has read
 * (Python/pylifecycle.c, init_interp_main). */
static void take_back_switch(void)
{
    char *config = python->_PyInterpreterState_GetConfig(python->PyInterpreterState_Main());
    int32_t *perf_profiling = (int32_t *)(config + python->layout->config_perf_profiling);
    if (*perf_profiling == 1)
        *perf_profiling = 0;
}

void sys_functions_stop_own(void)
{
    if (python->layout->has_own_map)
        take_back_switch();
    python_object *result = own[OWN_DEACTIVATE] == NULL
                                ? NULL
                                : python->PyObject_CallFunction(own[OWN_DEACTIVATE], NULL);
    if (result != NULL)
        python->Py_DecRef(result);
    else
        python->PyErr_Clear();
}

/* Beside the interpreter's own ones, in the main interpreter alone. */
static bool add_before_own(python_object *module)
{
    static struct method_definition methods[ADDED];
    bool done = true;
    for (size_t i = 0; i < ADDED; i++) {
        methods[i] = added[i];
        own[i] = python->PySys_GetObject(added[i].name);
        if (own[i] == NULL)
            return false;
        python->Py_IncRef(own[i]);
        done = done && add_to_module(module, NULL, &methods[i]);
    }
    return done;
}

bool sys_functions_add(const struct python *interpreter)
{
    if (python != NULL)
        return true;
    python = interpreter;
    python_object *module = python->PyImport_AddModule("sys");
    if (python->layout->has_own_map)
        return module != NULL && add_before_own(module);
    char *definition = module == NULL ? NULL : python->PyModule_GetDef(module);
    struct method_definition *table = NULL;
    if (definition != NULL && python_field(definition, MODULE_DEF_METHODS) != NULL)
        table = extended_table(
            (const struct method_definition *)python_field(definition, MODULE_DEF_METHODS));
    bool done = table != NULL;
    if (done) {
        python_object *copy = python_field(definition, MODULE_DEF_COPY);
        memcpy(definition + MODULE_DEF_METHODS, &table, sizeof table);
        size_t count = 0;
        while (table[count].name != NULL)
            count++;
        for (size_t i = count - ADDED; i < count; i++)
            done = done && add_to_module(module, copy, &table[i]);
    }
    python->PyErr_Clear();
    return done;
}
