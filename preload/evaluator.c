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

/* The end of the part of this thread's stack that may be used for profiling. The main thread's
 * stack may grow up to its limit; pthread_getattr_np counts that in. 0, that is no floor, when it
 * cannot be known. */
static uintptr_t find_floor(void)
{
    pthread_attr_t attributes;
    void *lowest = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return 0;
    if (pthread_attr_getstack(&attributes, &lowest, &size) != 0)
        lowest = NULL;
    pthread_attr_destroy(&attributes);
    size_t profiled = python->layout->profiled_stack;
    if (profiled == 0 || profiled > size / 2)
        profiled = size / 2;
    return lowest == NULL ? 0 : (uintptr_t)lowest + size - profiled;
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

/* Runs a frame, and all Python calls below it, as the interpreter does when nobody is looking.
 * Other threads' calls in the meantime go unnamed, or set the hook again: then the next call of
 * this thread comes back here. */
static python_object *run_inlined(void *thread_state, void *frame, int throwflag)
{
    void *interpreter = python->PyInterpreterState_Get();
    exchange(interpreter, (python_evaluator)hook->fast, none());
    python_object *result = plain_evaluator(thread_state, frame, throwflag);
    if (hooked)
        exchange(interpreter, none(), (python_evaluator)hook->fast);
    return result;
}

uintptr_t evaluator_adopt(void)
{
    if (!python->layout->inlines_calls)
        return 0;
    if (hook_stack_floor == UINTPTR_MAX)
        hook_stack_floor = find_floor();
    if ((uintptr_t)__builtin_frame_address(0) < hook_stack_floor)
        return (uintptr_t)run_inlined;
    exchange(python->PyInterpreterState_Get(), none(), (python_evaluator)hook->fast);
    return 0;
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
