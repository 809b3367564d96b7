/* python.h - the interpreter of this process: its layout and the part of its C API that is used.
 *
 * CPython's headers are not used: one build of libpyperf serves all versions. The functions are
 * looked up by name, never linked. Objects are opaque. */
#ifndef PYPERF_PYTHON_H
#define PYPERF_PYTHON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "preload/cpython/layout.h"
#include "trampoline/base/elf_object.h"
#include "trampoline/base/elf_symbol.h"

typedef struct python_object python_object;
typedef void *(*python_evaluator)(void);

/* result, name, arguments. All of them are exported by 2.7 and 3.6 to 3.15; Py_GetArgcArgv alone
 * may be NULL, because to 3.7 it is of Modules/main.c, which a program that does not call Py_Main
 * may be linked without. */
#define PYTHON_FUNCTIONS(X)                                                                        \
    X(python_object *, PyCode_NewEmpty, (const char *file, const char *name, int line))            \
    X(void, PyErr_Fetch, (python_object * *type, python_object * *value, python_object * *trace))  \
    X(void, PyErr_Restore, (python_object * type, python_object * value, python_object * trace))   \
    X(void, PyErr_Clear, (void))                                                                   \
    X(python_object *, PyErr_Format, (python_object * type, const char *format, ...))              \
    X(python_object *, PyUnicode_FromString, (const char *text))                                   \
    X(ssize_t, PyTuple_Size, (python_object * tuple))                                              \
    X(python_object *, PyTuple_GetItem, (python_object * tuple, ssize_t index))                    \
    X(int, PyArg_ParseTuple, (python_object * arguments, const char *format, ...))                 \
    X(ssize_t, PyList_Size, (python_object * list))                                                \
    X(python_object *, PyList_GetItem, (python_object * list, ssize_t index))                      \
    X(python_object *, PyDict_New, (void))                                                         \
    X(python_object *, PyDict_GetItemString, (python_object * dictionary, const char *key))        \
    X(int, PyDict_SetItemString,                                                                   \
      (python_object * dictionary, const char *key, python_object *value))                         \
    X(python_object *, PyFunction_New, (python_object * code, python_object * globals))            \
    X(python_object *, PyCFunction_NewEx,                                                          \
      (void *method, python_object *self, python_object *module_name))                             \
    X(python_object *, PyImport_AddModule, (const char *name))                                     \
    X(python_object *, PyImport_ImportModuleLevel,                                                 \
      (const char *name, python_object *globals, python_object *locals, python_object *from,       \
       int level))                                                                                 \
    X(python_object *, PyImport_GetModuleDict, (void))                                             \
    X(python_object *, PyObject_CallMethod,                                                        \
      (python_object * object, const char *name, const char *format, ...))                         \
    X(int, PyType_IsSubtype, (python_object * type, const void *base))                             \
    X(python_object *, PyBool_FromLong, (long value))                                              \
    X(python_object *, Py_BuildValue, (const char *format, ...))                                   \
    X(python_object *, PySys_GetObject, (const char *name))                                        \
    X(int, PySys_SetObject, (const char *name, python_object *value))                              \
    X(int, PyObject_IsTrue, (python_object * object))                                              \
    X(void *, PyGILState_GetThisThreadState, (void))                                               \
    X(void *, PyInterpreterState_Head, (void))                                                     \
    X(int, Py_IsInitialized, (void))                                                               \
    X(int, Py_AtExit, (void (*function)(void)))                                                    \
    X(void, Py_GetArgcArgv, (int *argc, wchar_t ***argv))                                          \
    X(void, Py_DecRef, (python_object * object))

/* From 3 on. */
#define PYTHON_3_FUNCTIONS(X)                                                                      \
    X(int, _PyCode_SetExtra, (python_object * code, ssize_t index, void *extra))                   \
    X(ssize_t, _PyEval_RequestCodeExtraIndex, (void (*free)(void *)))                              \
    X(ssize_t, PyUnicode_GetLength, (python_object * string))                                      \
    X(uint32_t, PyUnicode_ReadChar, (python_object * string, ssize_t index))                       \
    X(const char *, PyUnicode_AsUTF8AndSize, (python_object * string, ssize_t * size))             \
    X(void *, PyModule_GetDef, (python_object * module))

/* 2.7 alone. */
#define PYTHON_2_FUNCTIONS(X)                                                                      \
    X(python_object *, PyObject_Str, (python_object * object))                                     \
    X(int, PyDict_Next,                                                                            \
      (python_object * dictionary, ssize_t * at, python_object * *key, python_object * *value))    \
    X(int, PyDict_DelItemString, (python_object * dictionary, const char *key))                    \
    X(python_object *, PyModule_GetDict, (python_object * module))                                 \
    X(void, PyEval_RestoreThread, (void *state))                                                   \
    X(python_object *, _PyImport_FindExtension, (const char *name, const char *file))              \
    X(python_object *, _PyImport_FixupExtension, (const char *name, const char *file))

/* In versions with one lock for all interpreters, from 3 on. */
#define PYTHON_ONE_LOCK_FUNCTIONS(X) X(void *, _PyThreadState_UncheckedGet, (void))

/* From 3.9 on; needed in versions whose evaluator inlines calls (PEP 523). */
#define PYTHON_EVALUATOR_FUNCTIONS(X)                                                              \
    X(void *, PyInterpreterState_Get, (void))                                                      \
    X(void *, PyInterpreterState_Main, (void))                                                     \
    X(void *, PyInterpreterState_Next, (void *interpreter))                                        \
    X(python_evaluator, _PyInterpreterState_GetEvalFrameFunc, (void *interpreter))                 \
    X(void, _PyInterpreterState_SetEvalFrameFunc, (void *interpreter, python_evaluator))

/* In versions with native perf support. The configuration of the current interpreter. */
#define PYTHON_NATIVE_SUPPORT_FUNCTIONS(X) X(void *, _Py_GetConfig, (void))

#define PYTHON_ALL_FUNCTIONS(X)                                                                    \
    PYTHON_FUNCTIONS(X)                                                                            \
    PYTHON_3_FUNCTIONS(X)                                                                          \
    PYTHON_2_FUNCTIONS(X)                                                                          \
    PYTHON_ONE_LOCK_FUNCTIONS(X)                                                                   \
    PYTHON_EVALUATOR_FUNCTIONS(X)                                                                  \
    PYTHON_NATIVE_SUPPORT_FUNCTIONS(X)

/* The C API of that support, which is replaced (native_api.h): name, and the minor version it came
 * with. */
#define PYTHON_NATIVE_API(X)                                                                       \
    X(PyUnstable_PerfMapState_Init, 12)                                                            \
    X(PyUnstable_WritePerfMapEntry, 12)                                                            \
    X(PyUnstable_PerfMapState_Fini, 12)                                                            \
    X(PyUnstable_CopyPerfMapFile, 13)                                                              \
    X(PyUnstable_PerfTrampoline_CompileCode, 13)                                                   \
    X(PyUnstable_PerfTrampoline_SetPersistAfterFork, 13)

enum {
#define X(name, minor) PYTHON_NATIVE_##name,
    PYTHON_NATIVE_API(X)
#undef X
        PYTHON_NATIVE_API_COUNT
};

/* Code of the interpreter: its address and size. 0 if this version does not have it. */
struct python_code {
    uintptr_t entry;
    size_t size;
};

/* Functions that 3.12 has renamed (PEP 689): the name above, the new one. */
#define PYTHON_NEW_NAMES(X)                                                                        \
    X(_PyCode_SetExtra, PyUnstable_Code_SetExtra)                                                  \
    X(_PyEval_RequestCodeExtraIndex, PyUnstable_Eval_RequestCodeExtraIndex)

/* Functions that have other names in 2.7. */
#define PYTHON_2_NAMES(X)                                                                          \
    X(PyUnicode_FromString, PyString_FromString)                                                   \
    X(EVALUATOR, PyEval_EvalFrameEx)

/* type, name */
#define PYTHON_DATA(X)                                                                             \
    X(char, PyCode_Type)                                                                           \
    X(char, PyFunction_Type)                                                                       \
    X(char, PyUnicode_Type)                                                                        \
    X(python_object *, PyExc_TypeError)                                                            \
    X(python_object *, PyExc_ValueError)                                                           \
    X(python_object *, PyExc_RuntimeError)                                                         \
    X(int, Py_IgnoreEnvironmentFlag)                                                               \
    X(char, _PyRuntime) /* from 3.13 on: _Py_DebugOffsets is its first member */

/* Of 2.7 alone. */
#define PYTHON_2_DATA(X)                                                                           \
    X(char, PyString_Type)                                                                         \
    X(char, PyBaseString_Type)                                                                     \
    X(char, PyType_Type)                                                                           \
    X(char, PyClass_Type)                                                                          \
    X(char, PyDict_Type)                                                                           \
    X(char, PyStaticMethod_Type)                                                                   \
    X(char, PyClassMethod_Type)                                                                    \
    X(char, PyProperty_Type)                                                                       \
    X(void *, _PyThreadState_Current)                                                              \
    X(int, Py_VerboseFlag)

/* Include/methodobject.h: PyMethodDef */
struct method_definition {
    const char *name;
    python_object *(*function)(python_object *self, python_object *argument);
    int flags;
    const char *doc;
};
enum { METH_VARARGS = 0x1, METH_NOARGS = 0x4, METH_O = 0x8 };

struct python {
    const struct layout *layout;
    uintptr_t evaluator;   /* _PyEval_EvalFrameDefault, in 2.7 PyEval_EvalFrameEx */
    size_t evaluator_size; /* bytes of its code */
    ssize_t extra_index;   /* our index in co_extra, known at the first frame */
#define X(result, name, arguments) result(*name) arguments;
    PYTHON_ALL_FUNCTIONS(X)
#undef X
#define X(type, name) type *name;
    PYTHON_DATA(X)
    PYTHON_2_DATA(X)
#undef X
    struct python_code restore_thread; /* PyEval_RestoreThread, in 2.7 alone */
    struct python_code native_api[PYTHON_NATIVE_API_COUNT];
};

/* The interpreter of this process. python_find fills it before any other thread can read it; all
 * but extra_index is constant from then on. */
extern struct python python;

/* Whether this process has a Python interpreter among the objects it was started with. Reads a
 * variable that the loader has set. */
bool python_is_here(void);

/* Whether that interpreter has been started: this library was loaded late. */
bool python_has_started(void);

/* Whether the code at `caller` is an interpreter's, which then becomes the one of this process.
 * Takes the loader's lock. The interpreter is then never unloaded: if it were loaded again, our
 * jump would be missing. */
bool python_arrives(const void *caller);

/* The symbols by which an interpreter is known, to be looked up in an object: Py_GetVersion; a
 * function that is only in builds that link all objects into a list (Objects/object.c,
 * Py_TRACE_REFS), and one that is only in debug builds (Py_REF_DEBUG, from Py_DEBUG). */
enum { PYTHON_VERSION, PYTHON_TRACES, PYTHON_COUNTS, PYTHON_MARKS };
#define PYTHON_MARK_NAMES                                                                          \
    {                                                                                              \
        [PYTHON_VERSION] = {.name = "Py_GetVersion"},                                              \
        [PYTHON_TRACES] = {.name = "_Py_PrintReferences"},                                         \
        [PYTHON_COUNTS] = {.name = "_Py_NegativeRefcount"},                                        \
    }

/* The object, in which these were found, is the interpreter of this process. */
void python_is_in(const struct elf_object *object, const struct elf_symbol marks[PYTHON_MARKS]);

/* Of separate debug files: gdb's and Debian's. */
#define PYTHON_DEBUG_ROOT "/usr/lib/debug"

/* Finds the interpreter and fills `python`, from symbols in memory; `files` is elf_files_lookup,
 * which is not part of libpyperf.so, or a function that calls it, and is called only for symbols
 * that are not in memory. */
typedef bool (*python_files_function)(const struct elf_object *object, const char *debug_root,
                                      struct elf_symbol *symbols, size_t count,
                                      struct failure *why);
bool python_find(python_files_function files, struct failure *why);

/* The row for the interpreter's own version and build, NULL with `why` when it is not known. */
const struct layout *python_layout(struct failure *why);

/* Whether the interpreter uses its own perf support: because of PYPERF_NATIVE=1, or because the
 * version is after the last row. */
bool python_is_left_alone(void);

/* Reads a pointer-sized or other field of an object. */
static inline python_object *python_field(const void *object, size_t offset)
{
    return *(python_object *const *)((const char *)object + offset);
}

static inline int32_t python_int(const void *object, size_t offset)
{
    return *(const int32_t *)((const char *)object + offset);
}

static inline const void *python_type(const python_object *object)
{
    return python_field(object, python.layout->head + OBJECT_TYPE);
}

/* Whether a string of a code object is one of this version's: in 2.7 bytes. */
bool python_is_string(const python_object *object);

/* The bytes of a string object of 2.7, NUL terminated, and their number. */
static inline const char *python_bytes(const python_object *string, size_t *length)
{
    const char *bytes = (const char *)string;
    memcpy(length, bytes + python.layout->head + STRING_LENGTH, sizeof *length);
    return bytes + python.layout->head + STRING_BYTES;
}

/* The characters of a string object that holds ASCII alone, NUL terminated; NULL for any other. In
 * 2.7 the bytes as they are. */
static inline const char *python_ascii(const python_object *string)
{
    const char *bytes = (const char *)string;
    size_t length;
    if (python.layout->python_2)
        return python_bytes(string, &length);
    uint8_t state = python.layout->unicode_ascii_state;
    return ((uint8_t)bytes[python.layout->head + UNICODE_STATE] & state) == state
               ? bytes + python.layout->unicode_ascii_data
               : NULL;
}

/* A frame's pointer to its code object without the tags that it may have. */
static inline python_object *python_untag(const python_object *code)
{
    uintptr_t tags = python.layout->tagged_frames ? 3 : 0;
    return (python_object *)((uintptr_t)code & ~tags);
}

/* The code object of a frame. */
static inline python_object *python_frame_code(const void *frame)
{
    return python_untag(python_field(frame, python.layout->frame_code));
}

/* Whether the file name of a frame's code object begins so; false if it is not ASCII. */
bool python_frame_is_of(const void *frame, const char *beginning);

#endif
