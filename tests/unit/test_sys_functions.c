/* test_sys_functions.c - the three functions of sys: where interpreters find them, their results
 * and their effects. */
#include <stdio.h>
#include <unistd.h>

#include "interpreter/detour.h"
#include "preload/process/sys_functions.h"

static const char *const names[] = {"activate_stack_trampoline", "deactivate_stack_trampoline",
                                    "is_stack_trampoline_active"};

static const struct method_definition *methods_of_sys(void)
{
    return (const struct method_definition *)python_field(sys_definition, MODULE_DEF_METHODS);
}

static const struct method_definition *method_of(python_object *builtin)
{
    child_check(builtin != NULL, "%s", "it is not there");
    return object_of(builtin, BUILTIN, __func__)->definition;
}

static bool is_2(void)
{
    return version.major == 2;
}

static void start(bool with_copy)
{
    start_profile(version.major, version.minor, PROFILE_OFF);
    if (!is_2())
        define_sys(with_copy);
    child_check(sys_functions_add(), "%u.%u", version.major, version.minor);
    child_check(pending_type() == NULL, "%s", pending_text());
}

/* In the first interpreter's sys, and in the definition from which others are made. */
TEST_BY(for_each_version, found)
{
    start(true);
    for (size_t i = 0; i < LENGTH_OF(names); i++) {
        python_object *builtin = PySys_GetObject(names[i]);
        child_check(strcmp(method_of(builtin)->name, names[i]) == 0, "%s", names[i]);
        if (is_2()) {
            python_object *copy = PyModule_GetDict(_PyImport_FindExtension("other", "sys"));
            child_check(dictionary_get(copy, names[i]) == builtin, "%s", names[i]);
        } else {
            python_object *copy = python_field(sys_definition, MODULE_DEF_COPY);
            child_check(dictionary_get(copy, names[i]) == builtin, "%s", names[i]);
        }
    }
    if (is_2()) {
        python_object *modules = PyImport_GetModuleDict();
        child_check(dictionary_get(modules, "sys.activate_stack_trampoline") == NULL, "%s", "left");
        return;
    }
    const struct method_definition *methods = methods_of_sys();
    child_check(strcmp(methods[0].name, "intern") == 0, "%s", methods[0].name);
    child_check(strcmp(methods[1].name, names[1]) == 0 && methods[1].function != NULL, "%s",
                methods[1].name);
    child_check(strcmp(methods[1].doc, "Documented by the interpreter.") == 0, "%s",
                methods[1].doc);
    child_check(strncmp(methods[2].doc, "activate_stack_trampoline($module", 33) == 0, "%s",
                methods[2].doc);
    child_check(methods[3].name != NULL && methods[4].name == NULL, "%s", "the table's end");
    child_check(sys_methods[1].function == NULL, "%s", "the interpreter's own table was changed");
    long before = live_objects();
    child_check(sys_functions_add() && methods_of_sys() == methods, "%s", "once more");
    child_check(live_objects() == before, "%ld", live_objects() - before);
}

/* From 3.9 on there is no copy; and with -v 2.7 would show it. */
TEST_BY(for_each_version, without_a_copy)
{
    Py_VerboseFlag = 1;
    start(false);
    for (size_t i = 0; i < LENGTH_OF(names); i++)
        child_check(method_of(PySys_GetObject(names[i])) != NULL, "%s", names[i]);
    python_object *modules = PyImport_GetModuleDict();
    child_check(dictionary_get(modules, "sys.activate_stack_trampoline") == NULL, "%s", "left");
}

/* Calls it as the interpreter does, with one argument. */
static python_object *call(const char *name, python_object *argument)
{
    const struct method_definition *method = method_of(PySys_GetObject(name));
    if (argument != NULL && method->flags == METH_VARARGS) {
        own(argument);
        argument = new_tuple(1, argument);
    }
    return method->function(NULL, argument);
}

static bool is_active(void)
{
    return PyObject_IsTrue(call(names[2], NULL)) == 1;
}

TEST_BY(for_each_version, switches)
{
    start(true);
    int flags = method_of(PySys_GetObject(names[0]))->flags;
    bool old = !is_2() && version.minor <= 7;
    child_check(flags == (old ? METH_VARARGS : METH_O), "%u.%u: %d", version.major, version.minor,
                flags);
    child_check(!is_active(), "%d", profile_mode());
    for (int i = 0; i < 2; i++) {
        child_check(call(names[0], new_string("perf")) != NULL, "%s", pending_text());
        child_check(is_active() && profile_mode() == PROFILE_MAP, "%d", profile_mode());
        child_check(call(names[0], new_string("perf_jit")) != NULL, "%s", pending_text());
        child_check(is_active() && profile_mode() == PROFILE_JITDUMP, "%d", profile_mode());
        for (int j = 0; j < 2; j++) {
            child_check(call(names[1], NULL) != NULL, "%s", pending_text());
            child_check(!is_active() && text_is_its_own(), "%d", profile_mode());
        }
    }
}

static void raises(python_object *argument, const python_object *type, const char *text)
{
    long before = references(argument);
    child_check(call(names[0], argument) == NULL, "%s", text);
    child_check(pending_type() == type && strcmp(pending_text(), text) == 0, "%s, expected %s",
                pending_text(), text);
    PyErr_Clear();
    child_check(!is_active(), "%d", profile_mode());
    bool in_tuple = method_of(PySys_GetObject(names[0]))->flags == METH_VARARGS;
    child_check(references(argument) == before + in_tuple, "%ld", references(argument) - before);
}

TEST_BY(for_each_version, errors)
{
    const char *const invalid[] = {"", "nope", "perf ", "Perf", "perf_jit2", "per"};
    char text[64];
    start(true);
    for (size_t i = 0; i < LENGTH_OF(invalid); i++) {
        snprintf(text, sizeof text, "invalid backend: %s", invalid[i]);
        raises(new_string(invalid[i]), PyExc_ValueError, text);
    }
    raises(none(), PyExc_TypeError, "activate_stack_trampoline() argument must be str, not None");
    raises(new_tuple(0), PyExc_TypeError,
           "activate_stack_trampoline() argument must be str, not tuple");
    if (!is_2()) {
        const uint32_t embedded[] = {'p', 'e', 'r', 'f', 0, 'x'};
        raises(new_characters(embedded, 6), PyExc_ValueError, "embedded null character");
        const uint32_t surrogate[] = {0xdc80};
        child_check(call(names[0], new_characters(surrogate, 1)) == NULL, "%s", "it is encoded");
        child_check(pending_type() != NULL, "%s", "no exception");
        PyErr_Clear();
    }
    PySys_SetObject("_jit", PyImport_AddModule("_jit"));
    interpreter.jit = true;
    if (!is_2() && version.minor >= 14)
        raises(new_string("perf"), PyExc_ValueError,
               "Cannot activate the perf trampoline if the JIT is active");
    else
        child_check(call(names[0], new_string("perf")) != NULL, "%s", pending_text());
}

/* A switch that fails raises, and succeeds later. */
TEST_BY(for_each_version, in_want)
{
    start(true);
    if (python.layout->code_qualname == 0) {
        interpreter.failing = "PyImport_AddModule"; /* gc */
        child_check(call(names[0], new_string("perf")) == NULL, "%s", "it is on");
        child_check(strcmp(pending_text(), "MemoryError") == 0, "%s", pending_text());
        PyErr_Clear();
        child_check(!is_active(), "%d", profile_mode());
    }
    uint8_t first = *(const uint8_t *)detour.site;
    change_text((uint8_t)(first ^ 1));
    child_check(call(names[0], new_string("perf")) == NULL, "%s", "it is on");
    child_check(pending_type() == PyExc_RuntimeError, "%s", pending_text());
    child_check(strstr(pending_text(), "entry has changed") != NULL, "%s", pending_text());
    PyErr_Clear();
    child_check(!is_active(), "%d", profile_mode());
    change_text(first);
    child_check(call(names[0], new_string("perf")) != NULL && is_active(), "%s", pending_text());
}

static const char *failing;

static void fail_to_add(void)
{
    start_profile(version.major, version.minor, PROFILE_OFF);
    if (!is_2())
        define_sys(true);
    interpreter.failing = failing;
    bool added = sys_functions_add();
    child_check(added == (interpreter.failing != NULL), "%u.%u: %s: %d", version.major,
                version.minor, failing, added);
    child_check(pending_type() == NULL, "%s", pending_text());
    python_object *modules = PyImport_GetModuleDict();
    child_check(dictionary_get(modules, "sys.activate_stack_trampoline") == NULL, "%s", "left");
}

TEST(cannot_be_added)
{
    static const char *const calls[] = {"PyImport_AddModule", "PyUnicode_FromString",
                                        "PyCFunction_NewEx", "PySys_SetObject",
                                        "PyDict_SetItemString"};
    for (size_t i = 0; i < LENGTH_OF(calls); i++) {
        failing = calls[i];
        for_each_version(fail_to_add);
    }
}

/* A module that was made in another way has no definition. */
TEST_IN_CHILD(no_definition)
{
    start_profile(3, 8, PROFILE_OFF);
    child_check(!sys_functions_add() && pending_type() == NULL, "%s", pending_text());
}
