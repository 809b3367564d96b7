/* test_frame_evaluator.c - the interpreter's pointer to its evaluator (PEP 523): set while it is
 * profiled, never in place of another tool's, and not while a thread's stack is short. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "interpreter/detour.h"
#include "preload/cpython/frame_evaluator.h"
#include "trampoline/hook.h"

static python_object *code_named(const char *name)
{
    return new_code("app.py", name, name, 7);
}

static bool is_ours(const struct state *state)
{
    return state->evaluator != NULL;
}

static struct state *new_state(void)
{
    struct state *before = interpreter_leave();
    struct state *state = interpreter_new(false);
    interpreter_enter(before);
    return state;
}

TEST_IN_CHILD(where_each_call_is_one_of_c)
{
    for (unsigned minor = 8; minor <= 10; minor++) {
        start_detour(3, minor);
        frame_evaluator_adopt_all(true);
        child_check(frame_evaluator_adopt() == 0 && !is_ours(interpreter.main), "3.%u", minor);
        child_check(frame_evaluator_may_be_patched(), "3.%u", minor);
        frame_evaluator_leave();
    }
}

static unsigned minor;
static void for_each_minor(void (*body)(void))
{
    for (minor = 11; minor <= 15; minor++) {
        assert_in_child(body);
        clear_folder();
    }
}

static uintptr_t inner_at;
static python_object *inner_code;

static void call_inner(void)
{
    inner_at = run_code(inner_code, NULL);
}

/* Set by its first frame, which runs through the entry; then nested calls reach the hook too. */
TEST_BY(for_each_minor, adopted)
{
    start_profile(3, minor, PROFILE_MAP);
    interpreter.main->evaluator = NULL; /* as if it had been made later */
    inner_code = code_named("inner");
    python_object *outer = code_named("outer");
    child_check(registry_at(run_code(outer, call_inner)) != REGISTRY_NONE, "3.%u", minor);
    child_check(is_ours(interpreter.main), "3.%u", minor);
    child_check(registry_at(inner_at) != REGISTRY_NONE, "3.%u: %#lx", minor, inner_at);
    switch_to(PROFILE_OFF);
    child_check(!is_ours(interpreter.main), "3.%u", minor);
    run_code(outer, call_inner);
    child_check(inner_at == 0, "3.%u: it is called by way of C", minor);
    switch_to(PROFILE_MAP);
    child_check(is_ours(interpreter.main), "3.%u", minor);
}

/* Set in all interpreters; if each has its own lock, only in the current one. */
TEST_BY(for_each_minor, several_interpreters)
{
    start_profile(3, minor, PROFILE_OFF);
    bool own_locks = python.layout->has_native_support;
    struct state *other = new_state();
    switch_to(PROFILE_MAP);
    child_check(is_ours(interpreter.main) && is_ours(other) == !own_locks, "3.%u", minor);
    child_check(frame_evaluator_may_be_patched() == !own_locks, "3.%u", minor);
    python_object *code = code_named("f");
    interpreter_leave();
    interpreter_enter(other);
    other->evaluator = (python_evaluator)(uintptr_t)hook_find(1, python.layout->frame_code,
                                                              python.layout->code_extra, false,
                                                              true, python.layout->tagged_frames)
                           ->fast;
    child_check(registry_at(run_code(code, NULL)) != REGISTRY_NONE, "3.%u", minor);
    interpreter_leave();
    interpreter_enter(interpreter.main);
    switch_to(PROFILE_OFF);
    child_check(!is_ours(interpreter.main) && is_ours(other) == own_locks, "3.%u", minor);
    interpreter_leave();
    interpreter_enter(other); /* it is set in its next frame */
    child_check(registry_at(run_code(code_named("g"), NULL)) == REGISTRY_NONE, "3.%u", minor);
    child_check(!is_ours(other), "3.%u", minor);
}

static int calls_of_theirs;

static python_object *theirs(void *state, void *frame, int throwflag)
{
    calls_of_theirs++;
    return _PyEval_EvalFrameDefault(state, frame, throwflag);
}

/* Another tool's evaluator stays, and hands its frames to the entry. */
TEST_BY(for_each_minor, evaluators_of_others)
{
    start_profile(3, minor, PROFILE_OFF);
    const python_evaluator set = (python_evaluator)(uintptr_t)theirs;
    interpreter.main->evaluator = set;
    for (int i = 0; i < 2; i++) {
        switch_to(PROFILE_MAP);
        calls_of_theirs = 0;
        child_check(registry_at(run_code(code_named("f"), NULL)) != REGISTRY_NONE, "3.%u", minor);
        child_check(interpreter.main->evaluator == set && calls_of_theirs == 1, "3.%u", minor);
        switch_to(PROFILE_OFF);
        child_check(registry_at(run_code(code_named("f"), NULL)) == REGISTRY_NONE, "3.%u", minor);
        child_check(interpreter.main->evaluator == set && calls_of_theirs == 2, "3.%u", minor);
    }
}

/* Counts in a recursion the calls that are named, and those inlined once the stack is short. */
static struct {
    python_object *code;
    int left, calls, named, inlined, otherwise;
    uintptr_t top; /* the top of a simulated stack */
    size_t size;
} recursion;

static bool is_deep_enough(const char *local)
{
    return recursion.left-- == 0 || recursion.top - (uintptr_t)local > recursion.size / 8 * 7;
}

static void recurse(void)
{
    char local[512];
    if (is_deep_enough(memset(local, 0, sizeof local)))
        return;
    recursion.calls++;
    uintptr_t at = run_code(recursion.code, recurse);
    if (registry_at(at) != REGISTRY_NONE)
        recursion.named++;
    else if (at == 0)
        recursion.inlined++;
    else
        recursion.otherwise++;
}

enum { STACK = 2 << 20 };

static void *run_recursion(void *depth)
{
    interpreter_enter(interpreter.main);
    recursion.code = code_named("recurse");
    recursion.left = *(int *)depth;
    recursion.top = (uintptr_t)&depth;
    recursion.calls = recursion.named = recursion.inlined = recursion.otherwise = 0;
    run_code(recursion.code, recurse);
    bool is_set = is_ours(interpreter.main);
    interpreter_leave();
    return is_set ? depth : NULL;
}

static bool recurse_in_thread(size_t stack, int depth)
{
    pthread_t thread;
    pthread_attr_t attributes;
    void *result;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack);
    recursion.size = stack;
    struct state *state = interpreter_leave();
    child_check(pthread_create(&thread, &attributes, run_recursion, &depth) == 0, "%d", errno);
    pthread_join(thread, &result);
    interpreter_enter(state);
    return result != NULL;
}

TEST_BY(for_each_minor, short_stack)
{
    start_profile(3, minor, PROFILE_MAP);
    child_check(recurse_in_thread(STACK, 20), "3.%u", minor);
    child_check(recursion.named == 20, "3.%u: %d named", minor, recursion.named);
    child_check(recurse_in_thread(STACK, 100000), "3.%u: not set again", minor);
    child_check(recursion.named + recursion.inlined + recursion.otherwise == recursion.calls, "%d",
                recursion.calls);
    child_check(recursion.named > 50, "3.%u: %d named", minor, recursion.named);
    child_check(recursion.inlined > 0, "3.%u: %d inlined", minor, recursion.inlined);
    child_check(recursion.otherwise == 1, "3.%u: %d ", minor,
                recursion.otherwise); /* the one between */
    size_t profiled = python.layout->profiled_stack;
    size_t expected = profiled == 0 ? STACK / 2 : profiled;
    child_check((size_t)recursion.named * 512 < expected, "3.%u: %d named", minor, recursion.named);
}

/* On small stacks only a quarter is used: a program may have measured its need. */
TEST_BY(for_each_minor, small_stack)
{
    start_profile(3, minor, PROFILE_MAP);
    recurse_in_thread(512 << 10, 500);
    int in_small = recursion.named;
    recurse_in_thread(16 << 20, 500);
    child_check(in_small > 0 && in_small * 512 < 128 << 10, "3.%u: %d named", minor, in_small);
    child_check(recursion.named > in_small || python.layout->profiled_stack != 0, "3.%u: %d, %d",
                minor, recursion.named, in_small);
}

/* Of 128 KiB, 112 stay free from 3.14 on: objects that are freed wait where less than 96 are. */
TEST_BY(for_each_minor, smallest_stack)
{
    start_profile(3, minor, PROFILE_MAP);
    recurse_in_thread(128 << 10, 500);
    int most = minor < 14 ? 32 << 10 : 16 << 10;
    child_check(recursion.named > 0 && recursion.named * 512 < most, "3.%u: %d named", minor,
                recursion.named);
    recurse_in_thread(192 << 10, 500);
    child_check(recursion.named * 512 > 16 << 10, "3.%u: %d named", minor, recursion.named);
}

/* While a thread runs inlined, the hook stays unset, also across a switch, because its next call
 * would take C stack again. If the thread ends there, by pthread_exit, the hook may be set
 * again. */
static void end_deep(void)
{
    char local[512];
    if (!is_deep_enough(memset(local, 0, sizeof local))) {
        run_code(recursion.code, end_deep);
        return;
    }
    recursion.inlined = !is_ours(interpreter.main);
    run_code(code_named("another_thread"), NULL);
    frame_evaluator_adopt();
    recursion.otherwise = !is_ours(interpreter.main);
    interpreter_leave();
    pthread_exit(NULL);
}

static void *run_to_the_end(void *unused)
{
    interpreter_enter(interpreter.main);
    recursion.code = code_named("deep");
    recursion.left = 100000;
    recursion.top = (uintptr_t)&unused;
    recursion.size = 1 << 20;
    run_code(recursion.code, end_deep);
    return unused;
}

TEST_BY(for_each_minor, ended_deep)
{
    pthread_t thread;
    pthread_attr_t attributes;
    start_profile(3, minor, PROFILE_MAP);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 20);
    interpreter_leave();
    pthread_create(&thread, &attributes, run_to_the_end, NULL);
    pthread_join(thread, NULL);
    interpreter_enter(interpreter.main);
    child_check(recursion.inlined, "3.%u: it was set", minor);
    child_check(!is_ours(interpreter.main), "3.%u: it is set", minor);
    child_check(registry_at(run_code(code_named("f"), NULL)) != REGISTRY_NONE, "3.%u", minor);
    child_check(is_ours(interpreter.main), "3.%u: it is not set again", minor);
}
