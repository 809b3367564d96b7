#include "preload/cpython/thread_stack.h"

#include <alloca.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include "preload/cpython/python.h"
#include "trampoline/base/debug.h"
#include "trampoline/hook.h"

enum {
    SMALL_STACK = 1 << 20, /* bytes; a program with smaller stacks may have measured its need */
    STEP = 64 << 10,
    SPARE = 64 << 10, /* for C calls of a frame at the floor, before the next check */
};

static _Thread_local struct {
    uintptr_t lowest, top; /* 0: not known yet */
    uintptr_t deep;
    bool grows; /* the main thread's */
} own __attribute__((tls_model("initial-exec")));

/* The main thread's size is its limit, or the free addresses below it. */
static bool find_own(void)
{
    pthread_attr_t attributes;
    void *lowest;
    size_t size;
    if (own.top != 0)
        return true;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    bool found = pthread_attr_getstack(&attributes, &lowest, &size) == 0;
    pthread_attr_destroy(&attributes);
    if (found) {
        own.lowest = (uintptr_t)lowest;
        own.top = own.lowest + size;
        own.grows = gettid() == getpid();
    }
    return found;
}

static bool is_own(uintptr_t stack_pointer)
{
    return stack_pointer >= own.lowest && stack_pointer < own.top;
}

static size_t size_now(void)
{
    struct rlimit limit;
    size_t size = own.top - own.lowest;
    if (own.grows && getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < size)
        size = limit.rlim_cur;
    return size;
}

/* Makes the kernel extend the stack, down to an address that the limit allows. */
__attribute__((noinline)) static void take(uintptr_t end)
{
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (end >= here)
        return;
    volatile char *room = alloca(here - end);
    *room = 0;
}

static void find_floors(uintptr_t stack_pointer)
{
    size_t size = size_now();
    size_t share = size < SMALL_STACK ? size / 4 : size / 2;
    size_t profiled = python.layout->profiled_stack;
    if (profiled == 0 || profiled > share)
        profiled = share;
    uintptr_t floor = own.top - profiled;
    own.deep = floor - profiled / 4;
    if (own.grows) {
        if (stack_pointer - STEP > floor)
            floor = stack_pointer - STEP;
        if (own.top - (floor - SPARE) < size)
            take(floor - SPARE);
    }
    hook_stack.floor = floor;
    hook_stack.size = own.top - floor;
    debug_log(evaluator, 2, "stack of %zu bytes up to %#lx, profiled down to %#lx", size,
              (unsigned long)own.top, (unsigned long)floor);
}

static bool is_in_range(uintptr_t stack_pointer)
{
    return stack_pointer - hook_stack.floor < hook_stack.size;
}

bool thread_stack_is_profiled(uintptr_t stack_pointer)
{
    if (is_in_range(stack_pointer))
        return true;
    if (!find_own() || !is_own(stack_pointer))
        return false;
    if (own.grows || hook_stack.size == 0)
        find_floors(stack_pointer);
    return is_in_range(stack_pointer);
}

bool thread_stack_is_deep(uintptr_t stack_pointer)
{
    return is_own(stack_pointer) && stack_pointer < own.deep;
}
