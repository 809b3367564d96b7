/* test_python.c - finds the interpreter of a process: its row, and each symbol by its version's
 * name. */
#include <link.h>
#include <stdio.h>
#include <stdlib.h>

#include "interpreter/interpreter.h"
#include "trampoline/plan/elf_files.h"

/* A lookup that knows all names but one, and gives them addresses in a table of its own. */
static const char *absent;
static const char *asked[128];
static size_t asked_count;
enum { FIRST_ADDRESS = 0x1000, STEP = 0x100, SIZE = 77 };

static int take_first(struct dl_phdr_info *info, size_t size, void *bias)
{
    (void)size;
    *(uintptr_t *)bias = info->dlpi_addr;
    return 1;
}

static uintptr_t bias(void)
{
    uintptr_t found = 0;
    dl_iterate_phdr(take_first, &found); /* the main program comes first */
    return found;
}

/* Asked for all names: this program exports none. */
static bool fake_lookup(const struct elf_object *object, const char *debug_root,
                        struct elf_symbol *symbols, size_t count, struct failure *why)
{
    (void)why;
    child_check(object->bias == bias(), "%#lx", object->bias);
    child_check(strcmp(debug_root, "/usr/lib/debug") == 0, "%s", debug_root);
    asked_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (symbols[i].name == NULL)
            continue;
        bool found = absent == NULL || strcmp(symbols[i].name, absent) != 0;
        symbols[i].address = found ? FIRST_ADDRESS + asked_count * STEP : 0;
        symbols[i].size = SIZE;
        if (strcmp(symbols[i].name, "_PyRuntime") == 0)
            symbols[i].address = (uintptr_t)_PyRuntime - bias(); /* the only one that is read */
        asked[asked_count++] = symbols[i].name;
    }
    return true;
}

static bool is_asked(const char *name)
{
    for (size_t i = 0; i < asked_count; i++)
        if (strcmp(asked[i], name) == 0)
            return true;
    return false;
}

static bool from(unsigned minor)
{
    return version.major == 3 && version.minor >= minor;
}

/* A symbol that a version lacks is not looked up: that would read all files. */
TEST_BY(for_each_version, names)
{
    struct failure why = {.what = ""};
    interpreter_load(version.major, version.minor);
    child_check(python_find(fake_lookup, &why), "%u.%u: %s", version.major, version.minor,
                why.what);
    uintptr_t first = bias() + FIRST_ADDRESS;
    child_check((uintptr_t)python.PyCode_NewEmpty == first, "%#lx",
                (uintptr_t)python.PyCode_NewEmpty);
    child_check(python.evaluator_size == SIZE, "%zu", python.evaluator_size);
    const struct {
        const char *name;
        bool expected;
    } names[] = {
        {"PyCode_NewEmpty", true},
        {"PyEval_EvalFrameEx", !from(0)},
        {"_PyEval_EvalFrameDefault", from(0)},
        {"PyString_FromString", !from(0)},
        {"PyUnicode_FromString", from(0)},
        {"PyUnicode_GetLength", from(0)},
        {"PyClass_Type", !from(0)},
        {"PyDict_Next", !from(0)},
        {"_PyCode_SetExtra", from(0) && !from(12)},
        {"PyUnstable_Code_SetExtra", from(12)},
        {"_PyEval_RequestCodeExtraIndex", from(0) && !from(12)},
        {"PyUnstable_Eval_RequestCodeExtraIndex", from(12)},
        {"PyInterpreterState_Head", true},
        {"_PyThreadState_UncheckedGet", from(0) && !from(12)},
        {"_PyThreadState_Current", !from(0)},
        {"PyEval_RestoreThread", !from(0)},
        {"PyInterpreterState_Get", from(11)},
        {"_PyInterpreterState_SetEvalFrameFunc", from(11)},
        {"_Py_GetConfig", from(12)},
        {"PyUnstable_WritePerfMapEntry", from(12)},
        {"PyUnstable_CopyPerfMapFile", from(13)},
        {"_PyRuntime", from(13)},
    };
    for (size_t i = 0; i < LENGTH_OF(names); i++)
        child_check(is_asked(names[i].name) == names[i].expected, "%u.%u: %s", version.major,
                    version.minor, names[i].name);
    for (size_t i = 0; i < asked_count; i++)
        for (size_t j = 0; j < i; j++)
            child_check(strcmp(asked[i], asked[j]) != 0, "%s twice", asked[i]);
}

/* For each symbol: if it is missing, the failure names it. */
TEST_BY(for_each_version, missing_symbols)
{
    struct failure why = {.code = FAILURE_NONE};
    static const char *all[128];
    interpreter_load(version.major, version.minor);
    python_find(fake_lookup, &why);
    size_t count = asked_count;
    memcpy(all, asked, sizeof asked);
    for (size_t i = 0; i < count; i++) {
        absent = all[i];
        if (strcmp(absent, "_PyRuntime") == 0)
            continue;
        if (strcmp(absent, "Py_GetArgcArgv") == 0) { /* the only optional one */
            child_check(python_find(fake_lookup, &why) && python.Py_GetArgcArgv == NULL, "%s",
                        why.what);
            continue;
        }
        child_check(!python_find(fake_lookup, &why), "without %s", absent);
        child_check(why.code == FAILURE_NO_SYMBOL, "%s", failure_message(why.code));
        child_check(strncmp(why.what, absent, strlen(absent)) == 0, "%s: %s", absent, why.what);
    }
}

static bool no_file(const struct elf_object *object, const char *debug_root,
                    struct elf_symbol *symbols, size_t count, struct failure *why)
{
    (void)object, (void)debug_root, (void)symbols, (void)count;
    return failure_set(why, FAILURE_NOT_ELF, 0, "the file");
}

TEST_IN_CHILD(no_such_file)
{
    struct failure why = {.code = FAILURE_NONE};
    interpreter_load(3, 8);
    child_check(!python_find(no_file, &why) && why.code == FAILURE_NOT_ELF, "%d", why.code);
}

/* By the real lookup, in this program's own file: each pointer has the address of its symbol. */
TEST_BY(for_each_version, found_in_a_program)
{
    struct failure why = {.what = ""};
    interpreter_load(version.major, version.minor);
    child_check(python_find(elf_files_lookup, &why), "%u.%u: %s: %s", version.major, version.minor,
                failure_message(why.code), why.what);
#define X(result, name, arguments)                                                                 \
    child_check((uintptr_t)python.name == (uintptr_t)name, "%s", #name);
    if (version.major != 2)
        child_check(python.PyUnicode_FromString == PyUnicode_FromString, "%s", "a string");
    else
        child_check(python.PyUnicode_FromString == PyString_FromString, "%s", "bytes");
    X(int, PyObject_IsTrue, ())
    X(int, PyList_Size, ())
    X(void *, PyInterpreterState_Head, ())
    if (from(0) && !from(12)) {
        PYTHON_ONE_LOCK_FUNCTIONS(X)
    }
    if (from(11)) {
        PYTHON_EVALUATOR_FUNCTIONS(X)
    }
    if (!from(0)) {
        PYTHON_2_FUNCTIONS(X)
    }
#undef X
    child_check(python.PyCode_Type == PyCode_Type, "%s", "PyCode_Type");
    child_check(python.PyExc_TypeError == &PyExc_TypeError, "%s", "PyExc_TypeError");
    child_check((python.PyClass_Type == PyClass_Type) == !from(0), "%s", "PyClass_Type");
    child_check((python._PyThreadState_Current == &_PyThreadState_Current) == !from(0), "%s",
                "_PyThreadState_Current");
    child_check((python.restore_thread.entry == (uintptr_t)PyEval_RestoreThread &&
                 python.restore_thread.size != 0) == !from(0),
                "%#lx", python.restore_thread.entry);
    uintptr_t evaluator =
        from(0) ? (uintptr_t)_PyEval_EvalFrameDefault : (uintptr_t)PyEval_EvalFrameEx;
    child_check(python.evaluator == evaluator && python.evaluator_size > 5, "%#lx",
                python.evaluator);
    int native = 0;
    for (int i = 0; i < PYTHON_NATIVE_API_COUNT; i++)
        native += python.native_api[i].entry != 0 && python.native_api[i].size != 0;
    child_check(native == (from(13) ? 6 : from(12) ? 3 : 0), "%d", native);
    child_check(memcmp(python.layout, &interpreter.row, sizeof interpreter.row) == 0,
                "%u.%u: the row", version.major, version.minor);
}

/* The interpreter's own description does not match this version. */
TEST_BY(for_each_version, refused_descriptions)
{
    struct failure why = {.code = FAILURE_NONE};
    interpreter_load(version.major, version.minor);
    _PyRuntime[16] = 1;
    bool found = python_find(elf_files_lookup, &why);
    child_check(found == !from(13), "%u.%u", version.major, version.minor);
    child_check(found || why.code == FAILURE_FREE_THREADED, "%s", failure_message(why.code));
    _PyRuntime[16] = 0;
    _PyRuntime[0] = 'y';
    child_check(python_find(elf_files_lookup, &why) == !from(13), "%u.%u", version.major,
                version.minor);
}

TEST_IN_CHILD(unknown_versions)
{
    static const char *const unknown[] = {
        "3.5.2 (default)", "2.6.9", "3.16.0a1", "4.0", "", "three"};
    interpreter_load(3, 8);
    for (size_t i = 0; i < LENGTH_OF(unknown); i++) {
        struct failure why = {.code = FAILURE_NONE};
        snprintf(interpreter.version, sizeof interpreter.version, "%s", unknown[i]);
        child_check(python_layout(&why) == NULL && !python_find(fake_lookup, &why), "%s",
                    unknown[i]);
        child_check(why.code == FAILURE_VERSION, "%s", failure_message(why.code));
        child_check(python_is_left_alone() == (i == 2 || i == 3), "%s", unknown[i]);
    }
    child_check(python.layout == NULL && python_is_here(), "%s", "it is here");
}

TEST_BY(for_each_version, left_alone)
{
    static const char *const values[] = {"1", "0", "", "11", " 1", "yes"};
    interpreter_load(version.major, version.minor);
    unsetenv("PYPERF_NATIVE");
    child_check(!python_is_left_alone(), "%u.%u", version.major, version.minor);
    for (size_t i = 0; i < LENGTH_OF(values); i++) {
        setenv("PYPERF_NATIVE", values[i], 1);
        child_check(python_is_left_alone() == (i == 0 && from(12)), "%u.%u: %s", version.major,
                    version.minor, values[i]);
    }
}

TEST(strings)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        interpreter_start(versions[i].major, versions[i].minor);
        python_object *ascii = new_string("text"), *other = new_string("\303\244");
        ck_assert(python_is_string(ascii) && python_is_string(other));
        ck_assert(!python_is_string(NULL) && !python_is_string(none()));
        ck_assert_str_eq(python_ascii(ascii), "text");
        if (versions[i].major == 3)
            ck_assert_ptr_null(python_ascii(other));
        else
            ck_assert_str_eq(python_ascii(other), "\303\244");
    }
}

/* The lowest two bits are tags in versions that have tags, and part of the address in others. */
TEST(code_of_a_frame)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        interpreter_start(versions[i].major, versions[i].minor);
        python_object *code = new_code("app.py", "f", "f", 1);
        ck_assert_ptr_eq(python_frame_code(frame_of(code)), code);
    }
}
