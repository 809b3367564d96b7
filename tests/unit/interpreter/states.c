/* states.c - interpreters, their locks and evaluators; a version starts; code objects run. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/interpreter/interpreter.h"

struct interpreter interpreter;
char _PyRuntime[1024] __attribute__((aligned(16)));
const struct version versions[VERSIONS] = {{2, 7},  {3, 6},  {3, 7},  {3, 8},  {3, 9}, {3, 10},
                                           {3, 11}, {3, 12}, {3, 13}, {3, 14}, {3, 15}};

struct version version;

void for_each_version(void (*body)(void))
{
    for (size_t i = 0; i < VERSIONS; i++) {
        version = versions[i];
        assert_in_child(body);
        clear_folder();
    }
}

static _Thread_local struct state *current;
_Thread_local uint64_t thread_state[64];
void *_PyThreadState_Current;

/* interpreters */

struct state *interpreter_current(void)
{
    return current;
}

struct state *interpreter_new(bool own_lock)
{
    struct state *state = keep(calloc(1, sizeof *state)), *before = current;
    pthread_mutex_init(&state->own, NULL);
    state->lock = own_lock || interpreter.main == NULL ? &state->own : interpreter.main->lock;
    current = state; /* a new state, so no other thread is in it */
    state->modules = PyDict_New();
    state->sys = PyDict_New();
    current = before;
    state->next = interpreter.first;
    __atomic_store_n(&interpreter.first, state, __ATOMIC_RELEASE);
    return state;
}

void interpreter_enter(struct state *state)
{
    if (current != NULL)
        interpreter_fault("in an interpreter already");
    pthread_mutex_lock(state->lock);
    current = state;
    __atomic_store_n(&_PyThreadState_Current, thread_state, __ATOMIC_RELAXED);
}

struct state *interpreter_leave(void)
{
    struct state *state = current;
    current = NULL;
    __atomic_store_n(&_PyThreadState_Current, NULL, __ATOMIC_RELAXED);
    pthread_mutex_unlock(state->lock);
    return state;
}

void *PyInterpreterState_Get(void)
{
    enter_api(__func__, false);
    return current;
}

void *PyInterpreterState_Main(void)
{
    return interpreter.main;
}

void *PyInterpreterState_Head(void)
{
    return __atomic_load_n(&interpreter.first, __ATOMIC_ACQUIRE);
}

void *PyInterpreterState_Next(void *state)
{
    return ((struct state *)state)->next;
}

python_evaluator _PyInterpreterState_GetEvalFrameFunc(void *state)
{
    python_evaluator evaluator = ((struct state *)state)->evaluator;
    return evaluator != NULL ? evaluator : (python_evaluator)(uintptr_t)_PyEval_EvalFrameDefault;
}

void _PyInterpreterState_SetEvalFrameFunc(void *state, python_evaluator evaluator)
{
    if (((struct state *)state)->lock != current->lock)
        interpreter_fault("%s: of an interpreter whose lock is another's", __func__);
    bool is_own = evaluator == (python_evaluator)(uintptr_t)_PyEval_EvalFrameDefault;
    ((struct state *)state)->evaluator = is_own ? NULL : evaluator;
}

bool is_finalizing;

int Py_IsInitialized(void)
{
    return !is_finalizing;
}

void *PyGILState_GetThisThreadState(void)
{
    return current == NULL ? NULL : thread_state;
}

void *_PyThreadState_UncheckedGet(void)
{
    return __atomic_load_n(&_PyThreadState_Current, __ATOMIC_RELAXED);
}

/* Of its code only the address and the size count. */
__attribute__((noinline)) void PyEval_RestoreThread(void *state)
{
    __atomic_store_n(&_PyThreadState_Current, state, __ATOMIC_RELAXED);
}

void *_Py_GetConfig(void)
{
    enter_api(__func__, false);
    return current->config;
}

/* start and end */

const char *Py_GetVersion(void)
{
    return interpreter.version;
}

int Py_AtExit(void (*function)(void))
{
    interpreter.at_exit[interpreter.at_exit_count++] = function;
    return 0;
}

void Py_GetArgcArgv(int *argc, wchar_t ***argv)
{
    static wchar_t *none_of_them[1];
    *argc = interpreter.argc;
    *argv = none_of_them;
}

/* The interpreter's own description (_Py_DebugOffsets), made from the correct row. */
static void describe_itself(void)
{
    struct layout *row = &interpreter.row;
    const struct debug_offsets *places = row->described;
    const uint64_t number = (uint64_t)row->major << 24 | (uint64_t)row->minor << 16;
    if (places == NULL)
        return;
    const struct {
        uint16_t place;
        uint64_t value;
    } numbers[] = {
        {places->interpreter_next, 64},
        {places->interpreter_threads, 96},
        {places->interpreter_gil, 320},
        {places->thread_next, 8},
        {places->thread_interpreter, 16},
        {places->thread_id, 152},
        {places->thread_status, 32},
        {places->thread_frame, 72},
        {places->frame_previous, 8},
        {places->frame_executable, 0},
        {places->frame_instruction, 56},
        {places->frame_owner, row->minor == 13 ? 70 : 74},
        {places->code_filename, 112},
        {places->code_name, 120},
        {places->code_qualname, 128},
        {places->code_lines, 136},
        {places->code_firstlineno, 68},
        {places->code_adaptive, row->minor == 13 ? 200 : 208},
        {places->object_type, 8},
        {places->unicode_state, 32},
        {places->unicode_length, 16},
        {places->unicode_data, 40},
        {8, number},
        {16, 0},
    };
    memcpy(_PyRuntime, "xdebugpy", 8);
    for (size_t i = 0; i < LENGTH_OF(numbers); i++)
        memcpy(_PyRuntime + numbers[i].place, &numbers[i].value, sizeof numbers[i].value);
    if (!layout_describe(row, _PyRuntime, NULL))
        interpreter_fault("3.%u: is not described", row->minor);
}

void interpreter_load(unsigned major, unsigned minor)
{
    const struct layout *row = layout_find(major, minor);
    memset(&interpreter, 0, sizeof interpreter);
    memset(&python, 0, sizeof python);
    snprintf(interpreter.version, sizeof interpreter.version, "%u.%u.7 (main) [C]", major, minor);
    interpreter.row = row != NULL ? *row : *layout_find(3, 8);
    interpreter.argc = 1;
    describe_itself();
    begin_types();
    current = NULL;
    _PyThreadState_Current = NULL;
    interpreter.main = interpreter_new(true);
}

void interpreter_start(unsigned major, unsigned minor)
{
    static struct layout row;
    interpreter_load(major, minor);
    row = interpreter.row;
    python.layout = &row;
#define X(result, name, arguments) python.name = name;
    PYTHON_ALL_FUNCTIONS(X)
#undef X
#define X(type, name) python.name = (type *)&name;
    PYTHON_DATA(X)
    PYTHON_2_DATA(X)
#undef X
#define X(name, since)                                                                             \
    if (row.has_native_support && minor >= since)                                                  \
        python.native_api[PYTHON_NATIVE_##name] = (struct python_code){(uintptr_t)name, 16};
    PYTHON_NATIVE_API(X)
#undef X
    python.evaluator =
        major == 2 ? (uintptr_t)PyEval_EvalFrameEx : (uintptr_t)_PyEval_EvalFrameDefault;
    python.evaluator_size = 64;
    python.restore_thread = (struct python_code){(uintptr_t)PyEval_RestoreThread, 16};
    interpreter_enter(interpreter.main);
}

/* frames */

struct frame {
    char fields[64];
    void (*body)(void);
    uintptr_t returns_to;
};

typedef python_object *(*evaluate_function)(void *, void *, int);

static _Thread_local unsigned depth; /* of calls of the evaluator */

static void fill_frame(struct frame *frame, python_object *code, void (*body)(void))
{
    uintptr_t tags = interpreter.row.tagged_frames ? 1 : 0;
    memset(frame, 0x5a, sizeof *frame);
    frame->body = body;
    frame->returns_to = 0;
    put_word((python_object *)frame, interpreter.row.frame_code, (uintptr_t)code | tags, 8);
}

void *frame_of(python_object *code)
{
    static _Thread_local struct frame frame;
    fill_frame(&frame, code, NULL);
    return &frame;
}

static void run_body(const struct frame *frame)
{
    depth++;
    if (frame->body != NULL)
        frame->body();
    depth--;
}

/* Not inlined and not tail-called, so that a detour fits on it. */
__attribute__((noinline)) python_object *_PyEval_EvalFrameDefault(void *first, void *second,
                                                                  int throwflag)
{
    struct frame *frame = interpreter.row.frame_argument == 1 ? second : first;
    frame->returns_to = (uintptr_t)__builtin_return_address(0);
    run_body(frame);
    bool is_flag =
        (interpreter.row.frame_argument == 1 ? throwflag : (int)(intptr_t)second) == 4711;
    return is_flag ? (python_object *)frame : NULL;
}

__attribute__((noinline)) python_object *PyEval_EvalFrameEx(void *frame, int throwflag)
{
    ((struct frame *)frame)->returns_to = (uintptr_t)__builtin_return_address(0);
    run_body(frame);
    return throwflag == 4711 ? frame : NULL;
}

uintptr_t run_code(python_object *code, void (*body)(void))
{
    const uintptr_t of_3 = (uintptr_t)_PyEval_EvalFrameDefault,
                    of_2 = (uintptr_t)PyEval_EvalFrameEx;
    volatile uintptr_t entry = interpreter.row.python_2 ? of_2 : of_3;
    struct frame frame;
    void *result;
    enter_api(__func__, false);
    fill_frame(&frame, code, body);
    if (current->evaluator != NULL) {
        evaluate_function set = (evaluate_function)(uintptr_t)current->evaluator;
        result = set(current, &frame, 4711);
    } else if (interpreter.row.inlines_calls && depth > 0) {
        run_body(&frame);
        return 0;
    } else if (interpreter.row.frame_argument == 1) {
        result = ((evaluate_function)entry)(current, &frame, 4711);
    } else {
        result = ((python_object * (*)(void *, int)) entry)(&frame, 4711);
    }
    if (result != &frame)
        interpreter_fault("the evaluator got other arguments, or returned something else");
    return frame.returns_to;
}

/* native perf support */

#define NATIVE(...)                                                                                \
    {                                                                                              \
        interpreter.calls_of_native++;                                                             \
        return __VA_ARGS__;                                                                        \
    }
/* clang-format off */
__attribute__((noinline)) int PyUnstable_PerfMapState_Init(void) NATIVE(-2)
__attribute__((noinline)) int PyUnstable_WritePerfMapEntry(const void *address, unsigned size, const char *name)
    NATIVE(address != NULL && size > 0 && name != NULL ? -2 : -1)
__attribute__((noinline)) void PyUnstable_PerfMapState_Fini(void) NATIVE()
__attribute__((noinline)) int PyUnstable_CopyPerfMapFile(const char *parent) NATIVE(*parent)
__attribute__((noinline)) int PyUnstable_PerfTrampoline_CompileCode(python_object *code) NATIVE(code != NULL ? -2 : -1)
__attribute__((noinline)) int PyUnstable_PerfTrampoline_SetPersistAfterFork(int enable) NATIVE(enable + 4711)
    /* clang-format on */
