#include "preload/cpython/frame_evaluator.h"

#include <pthread.h>
#include <stddef.h>

#include "preload/cpython/code_tags.h"
#include "trampoline/hook.h"

enum { SMALL_STACK = 1 << 20 }; /* bytes */

typedef python_object *(*evaluate_function)(void *thread_state, void *frame, int throwflag);

static evaluate_function plain_evaluator;
static const struct hook *hook;

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
    /* A program that has asked for small stacks may have measured what its C code needs of them. */
    size_t share = size < SMALL_STACK ? size / 4 : size / 2;
    size_t profiled = python.layout->profiled_stack;
    if (profiled == 0 || profiled > share)
        profiled = share;
    if (lowest == NULL)
        return;
    hook_stack_floor = (uintptr_t)lowest + size - profiled;
    silence_floor = hook_stack_floor - profiled / 4;
}

static void exchange(void *interpreter, python_evaluator from, python_evaluator to)
{
    if (python._PyInterpreterState_GetEvalFrameFunc(interpreter) == from)
        python._PyInterpreterState_SetEvalFrameFunc(interpreter, to);
}

/* Setting this one means none (Python/pystate.c, _PyInterpreterState_SetEvalFrameFunc). */
static python_evaluator none(void)
{
    return (python_evaluator)python.evaluator;
}

/* Frames that need silence: nobody sets the hook while there are any. Those of this thread are all
 * that is left of them in a forked child. */
static unsigned silent;
static _Thread_local unsigned silent_here __attribute__((tls_model("initial-exec")));
static pthread_key_t end_of_thread;
static bool sees_ends; /* there is such a key */

/* Whatever ended it: pthread_exit and greenlets leave frames that never return. */
static void thread_ended(void *count)
{
    (void)count;
    __atomic_sub_fetch(&silent, silent_here, __ATOMIC_RELAXED);
    silent_here = 0;
}

static void change_silence(int by)
{
    if (by != 0 && silent_here == 0 && sees_ends)
        pthread_setspecific(end_of_thread, &silent_here);
    __atomic_add_fetch(&silent, by, __ATOMIC_RELAXED);
    silent_here += (unsigned)by;
}

static void adopt(void *interpreter)
{
    if (__atomic_load_n(&silent, __ATOMIC_RELAXED) == 0)
        exchange(interpreter, none(), (python_evaluator)hook->fast);
}

/* Runs a frame, and all Python calls below it, as the interpreter does when nobody is looking.
 * Other threads' calls in the meantime, and other greenlets', go unnamed, or set the hook again:
 * then the next call comes back here, on the C stack, and that must not go on for ever. */
static python_object *run_inlined(void *thread_state, void *frame, int throwflag)
{
    void *interpreter = python.PyInterpreterState_Get();
    bool needs_silence = (uintptr_t)__builtin_frame_address(0) < silence_floor;
    change_silence(needs_silence);
    exchange(interpreter, (python_evaluator)hook->fast, none());
    python_object *result = plain_evaluator(thread_state, frame, throwflag);
    change_silence(-needs_silence);
    if (code_tag_is_on())
        adopt(interpreter);
    return result;
}

uintptr_t frame_evaluator_start(uintptr_t plain)
{
    const struct layout *layout = python.layout;
    plain_evaluator = (evaluate_function)plain;
    hook = hook_find(layout->frame_argument, layout->frame_code, layout->code_extra,
                     layout->extras_indirect, layout->inlines_calls, layout->tagged_frames);
    if (hook == NULL)
        return 0;
    /* With PEP 523 the entry sees the first frame of an interpreter, and what other evaluators pass
     * on: always the slow way. */
    if (layout->inlines_calls)
        sees_ends = pthread_key_create(&end_of_thread, thread_ended) == 0;
    return (uintptr_t)(layout->inlines_calls ? hook->slow : hook->fast);
}

uintptr_t frame_evaluator_adopt(void)
{
    if (!python.layout->inlines_calls)
        return 0;
    if (hook_stack_floor == UINTPTR_MAX)
        find_floors();
    if ((uintptr_t)__builtin_frame_address(0) < hook_stack_floor)
        return (uintptr_t)run_inlined;
    adopt(python.PyInterpreterState_Get());
    return 0;
}

void frame_evaluator_leave(void)
{
    if (python.layout->inlines_calls)
        exchange(python.PyInterpreterState_Get(), (python_evaluator)hook->fast, none());
}

bool frame_evaluator_may_be_patched(void)
{
    if (!python.layout->has_native_support)
        return true;
    /* New ones come first (Python/pystate.c, PyInterpreterState_New); none is left at the end. */
    void *newest = python.PyInterpreterState_Head();
    return newest == NULL || newest == python.PyInterpreterState_Main();
}

void frame_evaluator_is_alone(void)
{
    silent = silent_here;
}

/* Where others may be running now, under locks of their own, they are left to see for themselves:
 * in their next frame that comes this way. */
static void exchange_all(python_evaluator from, python_evaluator to)
{
    if (python.layout->has_native_support) {
        exchange(python.PyInterpreterState_Get(), from, to);
        return;
    }
    void *interpreter = python.PyInterpreterState_Head();
    for (; interpreter != NULL; interpreter = python.PyInterpreterState_Next(interpreter))
        exchange(interpreter, from, to);
}

void frame_evaluator_adopt_all(bool on)
{
    python_evaluator ours = (python_evaluator)hook->fast;
    if (!python.layout->inlines_calls)
        return;
    if (!on)
        exchange_all(ours, none());
    else if (__atomic_load_n(&silent, __ATOMIC_RELAXED) == 0)
        exchange_all(none(), ours);
}
