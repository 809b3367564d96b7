#include "preload/process/sys_functions.h"

#include <stdlib.h>
#include <string.h>

#include "preload/cpython/native_support.h"
#include "preload/cpython/qualnames.h"
#include "preload/process/backend.h"

static python_object *none(void)
{
    return python.Py_BuildValue("");
}

static python_object *raise_failure(const struct failure *why)
{
    return python.PyErr_Format(*python.PyExc_RuntimeError, "%s: %s", failure_message(why->code),
                               why->what);
}

static python_object *activate_named(const char *text, size_t length)
{
    if (strlen(text) != length)
        return python.PyErr_Format(*python.PyExc_ValueError, "embedded null character");
    if (native_support_is_excluded())
        return python.PyErr_Format(*python.PyExc_ValueError,
                                   "Cannot activate the perf trampoline if the JIT is active");
    bool jitdump = strcmp(text, "perf_jit") == 0, sample = strcmp(text, "perf_sample") == 0;
    if (!jitdump && !sample && strcmp(text, "perf") != 0)
        return python.PyErr_Format(*python.PyExc_ValueError, "invalid backend: %s", text);
    if (!sample && !qualnames_prepare())
        return NULL;
    struct failure why = {.code = FAILURE_NONE};
    enum backend backend = sample ? BACKEND_SAMPLER : jitdump ? BACKEND_JITDUMP : BACKEND_MAP;
    if (!backend_switch(backend, &why))
        return raise_failure(&why);
    return none();
}

static python_object *activate(python_object *self, python_object *backend)
{
    (void)self;
    python_object *type = (python_object *)python_type(backend);
    bool python_2 = python.layout->python_2;
    if (!python.PyType_IsSubtype(type,
                                 python_2 ? python.PyBaseString_Type : python.PyUnicode_Type)) {
        const char *name = (const char *)python_field(type, python.layout->head + TYPE_NAME);
        return python.PyErr_Format(*python.PyExc_TypeError,
                                   "activate_stack_trampoline() argument must be str, not %.50s",
                                   strcmp(name, "NoneType") == 0 ? "None" : name);
    }
    if (!python_2) {
        ssize_t length;
        const char *text = python.PyUnicode_AsUTF8AndSize(backend, &length);
        return text == NULL ? NULL : activate_named(text, (size_t)length);
    }
    size_t length;
    python_object *string = python.PyObject_Str(backend); /* encodes unicode */
    if (string == NULL)
        return NULL;
    const char *text = python_bytes(string, &length);
    python_object *result = activate_named(text, length);
    python.Py_DecRef(string);
    return result;
}

static python_object *activate_from_tuple(python_object *self, python_object *arguments)
{
    python_object *backend;
    if (!python.PyArg_ParseTuple(arguments, "O:activate_stack_trampoline", &backend))
        return NULL;
    return activate(self, backend);
}

static python_object *deactivate(python_object *self, python_object *nothing)
{
    (void)self, (void)nothing;
    struct failure why;
    if (!backend_switch(BACKEND_OFF, &why))
        return raise_failure(&why);
    return none();
}

static python_object *is_active(python_object *self, python_object *nothing)
{
    (void)self, (void)nothing;
    return python.PyBool_FromLong(backend_is_active());
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

/* 2.7 takes a docstring as it is. */
static struct method_definition added_to_2[ADDED] = {
    {"activate_stack_trampoline", activate, METH_O,
     "activate_stack_trampoline(backend)\n\n"
     "Activate stack profiler trampoline *backend*."},
    {"deactivate_stack_trampoline", deactivate, METH_NOARGS,
     "deactivate_stack_trampoline()\n\n"
     "Deactivate the current stack profiler trampoline backend.\n\n"
     "If no stack profiler is activated, this function has no effect."},
    {"is_stack_trampoline_active", is_active, METH_NOARGS,
     "is_stack_trampoline_active() -> bool\n\n"
     "Return *True* if a stack profiler trampoline is active."},
};

static struct method_definition *find_method(struct method_definition *table, const char *name)
{
    while (table->name != NULL && strcmp(table->name, name) != 0)
        table++;
    return table;
}

/* A table of the existing methods and ours, which replace those of the same name but keep their
 * docstrings. The table is never freed. */
static struct method_definition *extended_table(const struct method_definition *present)
{
    size_t count = 0;
    while (present[count].name != NULL)
        count++;
    struct method_definition *table = calloc(count + ADDED + 1, sizeof *table);
    if (table == NULL)
        return NULL;
    memcpy(table, present, count * sizeof *table);
    for (size_t i = 0; i < ADDED; i++) {
        struct method_definition *method = find_method(table, added[i].name);
        const char *doc = method->name == NULL ? added[i].doc : method->doc;
        *method = added[i];
        method->doc = doc;
    }
    if (python.layout->sys_parses_tuples) {
        struct method_definition *method = find_method(table, added[0].name);
        method->function = activate_from_tuple;
        method->flags = METH_VARARGS;
    }
    return table;
}

static bool add_to_module(python_object *module, python_object *copy,
                          struct method_definition *method)
{
    python_object *module_name = python.PyUnicode_FromString("sys");
    /* In 2.7 the functions of a module have no self (Python/modsupport.c, Py_InitModule4). */
    python_object *self = python.layout->python_2 ? NULL : module;
    python_object *function =
        module_name == NULL ? NULL : python.PyCFunction_NewEx(method, self, module_name);
    bool done = function != NULL && python.PySys_SetObject(method->name, function) == 0 &&
                (copy == NULL || python.PyDict_SetItemString(copy, method->name, function) == 0);
    if (module_name != NULL)
        python.Py_DecRef(module_name);
    if (function != NULL)
        python.Py_DecRef(function);
    return done;
}

/* 2.7's copy of the first interpreter's module dictionary is not accessible. But a temporary module
 * can be made from it, under another name; the functions are added to that one, and a new copy is
 * made of it. Not with -v, which would print it. */
static bool add_to_python_2(python_object *module)
{
    static const char passing[] = "sys.activate_stack_trampoline";
    python_object *maker =
        *python.Py_VerboseFlag != 0 ? NULL : python._PyImport_FindExtension(passing, "sys");
    python_object *dictionary = maker == NULL ? NULL : python.PyModule_GetDict(maker);
    bool done = true;
    for (size_t i = 0; i < ADDED; i++)
        done = done && add_to_module(module, dictionary, &added_to_2[i]);
    if (maker == NULL)
        return done;
    done = done && python._PyImport_FixupExtension(passing, "sys") != NULL;
    python.PyErr_Clear(); /* before the next lookup */
    return python.PyDict_DelItemString(python.PyImport_GetModuleDict(), passing) == 0 && done;
}

bool sys_functions_add(void)
{
    static bool there;
    /* 2.7 makes a new sys module for each interpreter. */
    if (there && !python.layout->python_2)
        return true;
    there = true;
    python_object *module = python.PyImport_AddModule("sys");
    if (python.layout->python_2) {
        bool added_to_all = module != NULL && add_to_python_2(module);
        python.PyErr_Clear();
        return added_to_all;
    }
    char *definition = module == NULL ? NULL : python.PyModule_GetDef(module);
    definition = definition == NULL ? NULL : definition + python.layout->head;
    struct method_definition *table = NULL;
    if (definition != NULL && python_field(definition, MODULE_DEF_METHODS) != NULL)
        table = extended_table(
            (const struct method_definition *)python_field(definition, MODULE_DEF_METHODS));
    bool done = table != NULL;
    if (done) {
        python_object *copy = python_field(definition, MODULE_DEF_COPY);
        memcpy(definition + MODULE_DEF_METHODS, &table, sizeof table);
        for (size_t i = 0; i < ADDED; i++)
            done = done && add_to_module(module, copy, find_method(table, added[i].name));
    }
    python.PyErr_Clear();
    return done;
}
