#include "evaluator.h"

#include <pthread.h>
#include <stddef.h>

#include "../trampoline/hook.h"

typedef python_object *(*evaluate_function)(void *thread_state, void *frame, int throwflag);

static const struct python *python;
static evaluate_function plain_evaluator;
static const struct hook *hook;
static bool hooked; /* interpreters are to call the hook */

uintptr_t evaluator_start(const struct python *interpreter, uintptr_t plain)
{
    const struct layout *layout = interpreter->layout;
    python = interpreter;
    plain_evaluator = (evaluate_function)plain;
    hook = hook_find(layout->frame_argument, layout->frame_code, layout->code_extra,
                     layout->extras_indirect, layout->inlines_calls);
    if (hook == NULL)
        return 0;
    /* With PEP 523 the entry sees the first frame of an interpreter, and what other evaluators pass
     * on: always the slow way. */
    return (uintptr_t)(layout->inlines_calls ? hook->slow : hook->fast);
}

/* The ends of the part of this thread's stack in which its own calls may be profiled, that is
 * hook_stack_floor, and of the part in which those of others may. The main thread's stack may grow
 * up to its limit; pthread_getattr_np counts that in. 0, that is no floor, when it cannot be
 * known. */
static _Thread_local uintptr_t silence_floor __attribute__((tls_model("initial-exec")));

static void find_floors(void)
{
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size = 0;
    hook_stack_floor = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    if (pthread_attr_getstack(&attributes, &lowest, &size) != 0)
        lowest = NULL;
    pthread_attr_destroy(&attributes);
    size_t profiled = python->layout->profiled_stack;
    if (profiled == 0 || profiled > size / 2)
        profiled = size / 2;
    if (lowest == NULL)
        return;
    hook_stack_floor = (uintptr_t)lowest + size - profiled;
    silence_floor = hook_stack_floor - profiled / 4;
}

static void exchange(void *interpreter, python_evaluator from, python_evaluator to)
{
    if (python->_PyInterpreterState_GetEvalFrameFunc(interpreter) == from)
        python->_PyInterpreterState_SetEvalFrameFunc(interpreter, to);
}

/* Setting this one means none (Python/pystate.c, _PyInterpreterState_SetEvalFrameFunc). */
static python_evaluator none(void)
{
    return (python_evaluator)python->evaluator;
}

/* Frames that need silence: nobody sets the hook while there are any. Those of this thread are all
 * that is left of them in a forked child. */
static unsigned silent;
static _Thread_local unsigned silent_here __attribute__((tls_model("initial-exec")));

static void adopt(void *interpreter)
{
    if (silent == 0)
        exchange(interpreter, none(), (python_evaluator)hook->fast);
}

/* Runs a frame, and all Python calls below it, as the interpreter does when nobody is looking.
 * Other threads' calls in the meantime, and other greenlets', go unnamed, or set the hook again:
 * then the next call comes back here, on the C stack, and that must not go on for ever. */
static python_object *run_inlined(void *thread_state, void *frame, int throwflag)
{
    void *interpreter = python->PyInterpreterState_Get();
    bool needs_silence = (uintptr_t)__builtin_frame_address(0) < silence_floor;
    silent += needs_silence;
    silent_here += needs_silence;
    exchange(interpreter, (python_evaluator)hook->fast, none());
    python_object *result = plain_evaluator(thread_state, frame, throwflag);
    silent -= needs_silence;
    silent_here -= needs_silence;
    if (hooked)
        adopt(interpreter);
    return result;
}

uintptr_t evaluator_adopt(void)
{
    if (!python->layout->inlines_calls)
        return 0;
    if (hook_stack_floor == UINTPTR_MAX)
        find_floors();
    if ((uintptr_t)__builtin_frame_address(0) < hook_stack_floor)
        return (uintptr_t)run_inlined;
    adopt(python->PyInterpreterState_Get());
    return 0;
}

void evaluator_is_alone(void)
{
    silent = silent_here;
}

void evaluator_adopt_all(bool on)
{
    hooked = on;
    if (!python->layout->inlines_calls)
        return;
    if (python->layout->has_own_map) {
        exchange(python->PyInterpreterState_Main(), on ? none() : (python_evaluator)hook->fast,
                 on ? (python_evaluator)hook->fast : none());
        return;
    }
    void *interpreter = python->PyInterpreterState_Head();
    for (; interpreter != NULL; interpreter = python->PyInterpreterState_Next(interpreter))
        exchange(interpreter, on ? none() : (python_evaluator)hook->fast,
                 on ? (python_evaluator)hook->fast : none());
}
