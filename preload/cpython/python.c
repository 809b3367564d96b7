/* python.c - finds the interpreter: the main program, if it was linked statically (Debian's
 * python3.11), a libpython among the objects it was started with, or one that was loaded later. */
#include "preload/cpython/python.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trampoline/base/debug.h"
#include "trampoline/base/elf_mapped.h"
#include "trampoline/base/libc_functions.h"

/* Resolved by the loader, to NULL if no object of the program defines it: the cheapest test whether
 * a process is Python. */
extern const char *Py_GetVersion(void) __attribute__((weak));

extern int Py_IsInitialized(void) __attribute__((weak));

struct python python;

static const char *(*get_version)(void) = Py_GetVersion; /* that of the interpreter, or NULL */

/* PYTHON_TRACES, PYTHON_COUNTS */
extern void _Py_PrintReferences(FILE *) __attribute__((weak));
extern void _Py_NegativeRefcount(void) __attribute__((weak));

static bool traces_references, counts_references;

bool python_is_here(void)
{
    return get_version != NULL;
}

bool python_has_started(void)
{
    return Py_IsInitialized != NULL && Py_IsInitialized() != 0;
}

void python_is_in(const struct elf_object *object, const struct elf_symbol marks[PYTHON_MARKS])
{
    get_version = (const char *(*)(void))(object->bias + marks[PYTHON_VERSION].address);
    traces_references = marks[PYTHON_TRACES].address != 0;
    counts_references = marks[PYTHON_COUNTS].address != 0;
}

bool python_arrives(const void *caller)
{
    struct elf_symbol marks[] = PYTHON_MARK_NAMES;
    struct elf_object object;
    char name[PATH_MAX];
    if (!elf_object_at(caller, &object, name) || *name == '\0')
        return false; /* the main program: static_python.h */
    elf_mapped_lookup(&object, marks, PYTHON_MARKS);
    if (marks[PYTHON_VERSION].address == 0)
        return false;
    /* It stays loaded. musl does not find an object whose file was replaced, and unloads none. */
    void *handle = dlopen(name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    if (handle != NULL)
        dlclose(handle);
    else if (!libc_is_musl())
        return false;
    python_is_in(&object, marks);
    return true;
}

static bool version(unsigned *major, unsigned *minor)
{
    return sscanf(get_version(), "%u.%u", major, minor) == 2;
}

bool python_is_left_alone(void)
{
    unsigned major, minor;
    const char *native = getenv("PYPERF_NATIVE");
    if (!version(&major, &minor))
        return false;
    const struct layout *layout = layout_find(major, minor);
    if (layout == NULL)
        return layout_is_later(major, minor);
    return layout->has_native_support && native != NULL && strcmp(native, "1") == 0;
}

static struct layout adapted; /* the row, adapted to this build */

const struct layout *python_layout(struct failure *why)
{
    unsigned major, minor;
    const struct layout *row = NULL;
    if (python.layout != NULL)
        return python.layout;
    if (version(&major, &minor))
        row = layout_find(major, minor);
    if (row == NULL) {
        failure_set(why, FAILURE_VERSION, 0, "%.*s", (int)strcspn(get_version(), " "),
                    get_version());
        return NULL;
    }
    adapted = *row;
    if (counts_references || _Py_NegativeRefcount != NULL)
        layout_count_fewer_calls(&adapted);
    if (traces_references || _Py_PrintReferences != NULL)
        layout_trace_references(&adapted);
    python.layout = &adapted;
    return &adapted;
}

enum {
#define X(result, name, arguments) SYMBOL_##name,
    PYTHON_ALL_FUNCTIONS(X)
#undef X
#define X(type, name) SYMBOL_##name,
        PYTHON_DATA(X) PYTHON_2_DATA(X)
#undef X
#define X(name, minor) SYMBOL_##name,
            PYTHON_NATIVE_API(X)
#undef X
                SYMBOL_EVALUATOR,
    SYMBOL_COUNT
};

/* Leaves out symbols that this version does not have or need (the lookup of a missing name reads
 * all files), and gives the others this version's names. */
static void adapt(struct elf_symbol *symbols, const struct layout *layout)
{
#define X(result, symbol, arguments) symbols[SYMBOL_##symbol].name = NULL;
    if (!layout->inlines_calls) {
        PYTHON_EVALUATOR_FUNCTIONS(X)
    }
    if (!layout->has_native_support) {
        PYTHON_NATIVE_SUPPORT_FUNCTIONS(X)
    }
    if (layout->python_2 || layout->has_native_support) {
        PYTHON_ONE_LOCK_FUNCTIONS(X)
    }
    if (layout->python_2) {
        PYTHON_3_FUNCTIONS(X)
    } else {
        PYTHON_2_FUNCTIONS(X)
    }
#undef X
#define X(type, symbol) symbols[SYMBOL_##symbol].name = NULL;
    if (!layout->python_2) {
        PYTHON_2_DATA(X)
    }
#undef X
    if (layout->described == NULL)
        symbols[SYMBOL__PyRuntime].name = NULL;
#define X(symbol, since)                                                                           \
    if (!layout->has_native_support || layout->minor < since)                                      \
        symbols[SYMBOL_##symbol].name = NULL;
    PYTHON_NATIVE_API(X)
#undef X
#define X(old, new) symbols[SYMBOL_##old].name = #new;
    if (layout->has_new_names) {
        PYTHON_NEW_NAMES(X)
    }
    if (layout->python_2) {
        PYTHON_2_NAMES(X)
    }
#undef X
}

static void take(const struct elf_symbol *symbols, uintptr_t bias)
{
#define ADDRESS(name)                                                                              \
    (symbols[SYMBOL_##name].address == 0 ? NULL : (void *)(bias + symbols[SYMBOL_##name].address))
#define X(result, name, arguments) python.name = (result(*) arguments)ADDRESS(name);
    PYTHON_ALL_FUNCTIONS(X)
#undef X
#define X(symbol, since)                                                                           \
    python.native_api[PYTHON_NATIVE_##symbol] =                                                    \
        (struct python_code){(uintptr_t)ADDRESS(symbol), symbols[SYMBOL_##symbol].size};
    PYTHON_NATIVE_API(X)
#undef X
    /* A program that is not position independent may hold a copy of a variable (R_X86_64_COPY), and
     * then all objects use the copy, whose address only the loader knows. Objects that were loaded
     * later have no copies. */
#define X(type, name)                                                                              \
    python.name = Py_GetVersion == NULL ? NULL : dlsym(RTLD_DEFAULT, #name);                       \
    if (python.name == NULL)                                                                       \
        python.name = ADDRESS(name);
    PYTHON_DATA(X)
    if (python.layout->python_2) {
        PYTHON_2_DATA(X)
    }
#undef X
    python.evaluator = bias + symbols[SYMBOL_EVALUATOR].address;
    python.evaluator_size = symbols[SYMBOL_EVALUATOR].size;
    python.restore_thread = (struct python_code){(uintptr_t)ADDRESS(PyEval_RestoreThread),
                                                 symbols[SYMBOL_PyEval_RestoreThread].size};
}

bool python_find(python_files_function files, struct failure *why)
{
    if (python_layout(why) == NULL)
        return false;
    struct elf_object object;
    char name[PATH_MAX];
    if (!elf_object_at((const void *)get_version, &object, name))
        return failure_set(why, FAILURE_FILE, 0, "no object holds %p", (void *)get_version);
    debug_log(python, 1, "Python %.*s in %s, loaded at %#lx", (int)strcspn(get_version(), " "),
              get_version(), name, (unsigned long)object.bias);

    struct elf_symbol symbols[SYMBOL_COUNT] = {
#define X(result, symbol, arguments) [SYMBOL_##symbol] = {.name = #symbol},
        PYTHON_ALL_FUNCTIONS(X)
#undef X
#define X(type, symbol) [SYMBOL_##symbol] = {.name = #symbol},
            PYTHON_DATA(X) PYTHON_2_DATA(X)
#undef X
#define X(symbol, since) [SYMBOL_##symbol] = {.name = #symbol},
                PYTHON_NATIVE_API(X)
#undef X
                    [SYMBOL_EVALUATOR] = {.name = "_PyEval_EvalFrameDefault"},
    };
    adapt(symbols, python.layout);
    if (elf_mapped_lookup(&object, symbols, SYMBOL_COUNT) > 0 &&
        !files(&object, PYTHON_DEBUG_ROOT, symbols, SYMBOL_COUNT, why))
        return false;
    for (int i = 0; i < SYMBOL_COUNT; i++)
        if (symbols[i].address == 0 && symbols[i].name != NULL && i != SYMBOL_Py_GetArgcArgv)
            return failure_set(why, FAILURE_NO_SYMBOL, 0, "%s in %.100s", symbols[i].name,
                               *name == '\0' ? "the program" : name);
    take(symbols, object.bias);
    return layout_describe(&adapted, python._PyRuntime, why);
}

bool python_is_string(const python_object *object)
{
    if (object == NULL)
        return false;
    const void *type = python_type(object);
    if (!python.layout->python_2)
        return type == python.PyUnicode_Type;
    return type == python.PyString_Type ||
           python.PyType_IsSubtype((python_object *)type, python.PyString_Type);
}

bool python_frame_is_of(const void *frame, const char *beginning)
{
    python_object *code = python_frame_code(frame);
    const char *file = python_ascii(python_field(code, python.layout->code_filename));
    return file != NULL && strncmp(file, beginning, strlen(beginning)) == 0;
}
