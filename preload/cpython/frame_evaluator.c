#include "preload/cpython/frame_evaluator.h"

#include <pthread.h>
#include <stddef.h>

#include "arch_thread.h"
#include "preload/cpython/code_tags.h"
#include "preload/cpython/thread_stack.h"
#include "trampoline/base/debug.h"
#include "trampoline/hook.h"

typedef python_object *(*evaluate_function)(void *thread_state, void *frame, int throwflag);

static evaluate_function plain_evaluator;
static python_evaluator ours; /* for PEP 523 */

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

/* The number of deep frames: while there are any, the hook stays unset. In a forked child only this
 * thread's are left. */
static unsigned deep;
ARCH_THREAD_VARIABLE(unsigned, deep_frames)
static pthread_key_t end_of_thread;
static bool sees_ends; /* there is such a key */

/* Runs when the thread ends, because pthread_exit and greenlets leave frames that never return. */
static void thread_ended(void *count)
{
    (void)count;
    __atomic_sub_fetch(&deep, *deep_frames_here(), __ATOMIC_RELAXED);
    *deep_frames_here() = 0;
}

static void count_deep(int by)
{
    if (by != 0 && *deep_frames_here() == 0 && sees_ends)
        pthread_setspecific(end_of_thread, deep_frames_here());
    __atomic_add_fetch(&deep, by, __ATOMIC_RELAXED);
    *deep_frames_here() += (unsigned)by;
}

static void adopt(void *interpreter)
{
    if (__atomic_load_n(&deep, __ATOMIC_RELAXED) == 0)
        exchange(interpreter, none(), ours);
}

/* Runs a frame, and all Python calls below it, without the hook. Meanwhile calls of other threads
 * and greenlets have no names, or set the hook again: then the next call takes C stack and comes
 * back here, which must not repeat without end. */
static python_object *run_inlined(void *thread_state, void *frame, int throwflag)
{
    void *interpreter = python.PyInterpreterState_Get();
    bool is_deep = thread_stack_is_deep((uintptr_t)__builtin_frame_address(0));
    debug_log(evaluator, 3, "unhooked at %p%s", __builtin_frame_address(0),
              is_deep ? ", deep" : "");
    count_deep(is_deep);
    exchange(interpreter, ours, none());
    python_object *result = plain_evaluator(thread_state, frame, throwflag);
    count_deep(-is_deep);
    if (code_tag_is_on())
        adopt(interpreter);
    return result;
}

uintptr_t frame_evaluator_start(uintptr_t plain)
{
    const struct layout *layout = python.layout;
    plain_evaluator = (evaluate_function)plain;
    const struct hook *hook =
        hook_find(layout->frame_argument, layout->frame_code, layout->code_extra,
                  layout->extras_indirect, layout->inlines_calls, layout->tagged_frames);
    if (hook == NULL)
        return 0;
    /* The fast one knows one distance to a thread's range of its stack, for all threads. */
    arch_thread_find();
    ours = (python_evaluator)(arch_thread_is_fixed() ? hook->fast : hook->slow);
    /* With PEP 523 only an interpreter's first frame, and frames that other evaluators pass on, use
     * the entry: always the slow path. */
    if (layout->inlines_calls)
        sees_ends = pthread_key_create(&end_of_thread, thread_ended) == 0;
    return (uintptr_t)(layout->inlines_calls ? hook->slow : hook->fast);
}

uintptr_t frame_evaluator_adopt(void)
{
    if (!python.layout->inlines_calls)
        return 0;
    if (!thread_stack_is_profiled((uintptr_t)__builtin_frame_address(0)))
        return (uintptr_t)run_inlined;
    adopt(python.PyInterpreterState_Get());
    return 0;
}

void frame_evaluator_leave(void)
{
    if (python.layout->inlines_calls)
        exchange(python.PyInterpreterState_Get(), ours, none());
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
    deep = *deep_frames_here();
}

/* Other interpreters that may run now, under their own locks, are set in their next frame that runs
 * through the entry. */
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
    if (!python.layout->inlines_calls)
        return;
    if (!on)
        exchange_all(ours, none());
    else if (__atomic_load_n(&deep, __ATOMIC_RELAXED) == 0)
        exchange_all(none(), ours);
}
