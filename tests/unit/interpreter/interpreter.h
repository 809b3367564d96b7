/* interpreter.h - a small interpreter for tests, with the C API that python.h names and objects
 * laid out by a row of layout.c. It runs no Python: a C function stands for a code object's code.
 * It is stricter than CPython, and ends the test with a line on stderr when
 *
 *     the API is called without an interpreter's lock
 *     a function that can raise is called while an exception is pending
 *     an object is used after its death, or has the wrong type for the function */
#ifndef PYPERF_TEST_INTERPRETER_H
#define PYPERF_TEST_INTERPRETER_H

#include <pthread.h>

#include "preload/cpython/python.h"
#include "tests/unit/support/support.h"

/* The C API under its own names, also for elf_lookup to find in the test program. */
#define X(result, name, arguments) result name arguments;
PYTHON_ALL_FUNCTIONS(X)
#undef X
int PyUnstable_Code_SetExtra(python_object *code, ssize_t index, void *extra);
ssize_t PyUnstable_Eval_RequestCodeExtraIndex(void (*free)(void *));
python_object *PyString_FromString(const char *text);
const char *Py_GetVersion(void);
python_object *_PyEval_EvalFrameDefault(void *first, void *second, int throwflag);
python_object *PyEval_EvalFrameEx(void *frame, int throwflag);
int PyUnstable_PerfMapState_Init(void);
int PyUnstable_WritePerfMapEntry(const void *address, unsigned size, const char *name);
void PyUnstable_PerfMapState_Fini(void);
int PyUnstable_CopyPerfMapFile(const char *parent);
int PyUnstable_PerfTrampoline_CompileCode(python_object *code);
int PyUnstable_PerfTrampoline_SetPersistAfterFork(int enable);

enum { TYPE_BYTES = 512 };
extern char PyCode_Type[TYPE_BYTES], PyFunction_Type[TYPE_BYTES], PyUnicode_Type[TYPE_BYTES],
    PyString_Type[TYPE_BYTES], PyBaseString_Type[TYPE_BYTES], PyType_Type[TYPE_BYTES],
    PyClass_Type[TYPE_BYTES], PyDict_Type[TYPE_BYTES], PyStaticMethod_Type[TYPE_BYTES],
    PyClassMethod_Type[TYPE_BYTES], PyProperty_Type[TYPE_BYTES], PyTuple_Type[TYPE_BYTES],
    _PyRuntime[1024];
extern python_object *PyExc_TypeError, *PyExc_ValueError, *PyExc_RuntimeError;
extern int Py_IgnoreEnvironmentFlag, Py_VerboseFlag;
extern void *_PyThreadState_Current;

/* An interpreter of the process (PEP 684: with a lock of its own, or that of the main one). */
struct state {
    pthread_mutex_t own, *lock;
    python_evaluator evaluator; /* PEP 523; NULL: none */
    ssize_t extra_users;
    void (*extra_free[16])(void *);
    python_object *modules, *sys;
    char config[128];
    struct state *next;
};

extern struct interpreter {
    struct layout row; /* the real layout of objects; python.layout may differ */
    char version[32];
    struct state *first, *main;
    const char *failing; /* the API function that fails once, as without memory */
    int calls_of_native; /* of the functions of its own perf support */
    int argc;
    void (*at_exit[8])(void);
    int at_exit_count;
    bool jit; /* the JIT is on, in versions that have one */
    struct {
        int number; /* of the last signal.signal, and its handler */
        python_object *handler;
    } signal;
} interpreter;

/* Starts a version: `python` is filled, and this thread is in the main interpreter. */
void interpreter_start(unsigned major, unsigned minor);

/* The same, but `python` is empty, for libpyperf to fill. */
void interpreter_load(unsigned major, unsigned minor);

/* Each version that has a row, 2.7 first. */
enum { VERSIONS = 11 };
extern const struct version {
    unsigned major, minor;
} versions[VERSIONS];

/* Calls the function with `version` set to each version, in a child, because an interpreter is
 * loaded once in a process. For TEST_BY. */
void for_each_version(void (*body)(void));
extern struct version version;

/* Other interpreters, and the one that this thread is in, whose lock it has. */
struct state *interpreter_new(bool own_lock);
void interpreter_enter(struct state *state);
struct state *interpreter_leave(void);
struct state *interpreter_current(void);

/* Gives the sys module its definition, with methods of its own, and the copy of its dictionary that
 * other interpreters get. */
void define_sys(bool with_copy);
extern char sys_definition[128];
extern struct method_definition sys_methods[3];

/* This thread's PyThreadState, in any interpreter: only a test uses its fields. The current one is
 * that of the thread that was the last to enter an interpreter, until it leaves it. */
extern _Thread_local uint64_t thread_state[64];
extern bool is_finalizing; /* Py_IsInitialized is false */

/* Objects: new references. Names are UTF-8. */
python_object *new_string(const char *text);
python_object *new_characters(const uint32_t *characters, size_t count);
python_object *new_tuple(size_t count, ...); /* takes the references */
python_object *new_table(const char *bytes); /* of lines */
python_object *new_code(const char *file, const char *name, const char *qualname, int line);
python_object *new_class(const char *name, const char *function,
                         ...); /* (name, value) pairs, NULL */
python_object *new_wrapper(const void *type, python_object *wrapped);
python_object *new_function(python_object *code, const char *qualname);
python_object *none(void);

/* A code object's constants, flags and first names. */
void set_constants(python_object *code, python_object *tuple); /* takes the reference */
void set_flags(python_object *code, int flags);
void set_names(python_object *code, python_object *tuple);
enum { FLAGS_OF_FUNCTION = CODE_FLAG_OPTIMIZED | CODE_FLAG_NEWLOCALS, FLAGS_OF_CLASS = 0 };

/* Value i of a code object's co_extra, 0 if there is none; and their number. */
uint64_t extra_value(const python_object *code, ssize_t i);
ssize_t extra_count(const python_object *code);

long references(const python_object *object);
long live_objects(void);

/* The pending exception: its type, NULL when there is none, and its text. */
const python_object *pending_type(void);
const char *pending_text(void);
void raise_pending(const char *text); /* as code of the program does */

/* Runs the code object by the interpreter's present evaluator; `body` stands for its code. Returns
 * the address from which the evaluator was called, in a trampoline or elsewhere; 0 if it was not
 * called, because the interpreter inlines such calls (PEP 523). */
uintptr_t run_code(python_object *code, void (*body)(void));

/* A frame of the code object. Valid until the next call in this thread. */
void *frame_of(python_object *code);

/* Reports misuse of the interpreter and ends the process. */
void interpreter_fault(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* For the files of the interpreter only. */
enum kind {
    STRING,
    TUPLE,
    LIST,
    DICTIONARY,
    CODE,
    FUNCTION,
    CLASS,
    WRAPPER,
    BUILTIN,
    MODULE,
    NONE
};
struct object {
    enum kind kind;
    long references;
    size_t count;          /* items, pairs or characters */
    python_object **items; /* a dictionary's: keys and values alternate */
    uint32_t *characters;
    const void *definition;                    /* of a module or builtin */
    char bytes[] __attribute__((aligned(16))); /* the object itself */
};
python_object *new_object(enum kind kind, const void *type, size_t size);
struct object *object_of(const python_object *object, enum kind kind, const char *function);
void put_field(python_object *object, size_t offset, const void *value);
void put_word(python_object *object, size_t offset, uint64_t value, size_t size);
void own(python_object *object); /* one more reference */
const char *text_of(const python_object *string);
python_object *dictionary_get(python_object *dictionary, const char *key);
void dictionary_set(python_object *dictionary, const char *key, python_object *value);
python_object *all_functions_and_classes(void); /* a list, as gc.get_objects */
void destroy_extra(python_object *code);
void set_type(char *type, const char *name, const char *base);
void begin_types(void);
void enter_api(const char *function, bool can_raise);
bool is_to_fail(const char *function);

#endif
