#include "preload/cpython/thread_stack.h"

#include <alloca.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch_thread.h"
#include "preload/cpython/python.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/libc_functions.h"
#include "trampoline/base/mapping.h"
#include "trampoline/base/page.h"
#include "trampoline/hook.h"

enum {
    SMALL_STACK = 1 << 20, /* bytes; a program with smaller stacks may have measured its need */
    STEP = 64 << 10,
    SPARE = 64 << 10, /* for C calls of a frame at the floor, before the next check */
    GAP_PAGES = 256,  /* the kernel keeps free below a stack (mm/mmap.c, stack_guard_gap) */
};

struct own {
    uintptr_t lowest, top; /* 0: not known yet */
    uintptr_t deep;
    bool grows; /* the main thread's */
};
ARCH_THREAD_VARIABLE(struct own, of_thread)

/* musl reports what is mapped of the main thread's stack now (pthread_getattr_np.c), glibc what it may
 * become. A forked child's only thread may have another stack: the kernel puts AT_RANDOM on the main
 * one. */
static void add_growth(void)
{
    struct own *own = of_thread_here();
    struct mapping stack;
    struct rlimit limit;
    if (!mapping_find((const void *)own->lowest, &stack) ||
        getauxval(AT_RANDOM) - stack.start >= stack.end - stack.start ||
        getrlimit(RLIMIT_STACK, &limit) != 0)
        return;
    uintptr_t lowest = stack.end_below + GAP_PAGES * page_size();
    if (limit.rlim_cur < stack.end - lowest)
        lowest = stack.end - limit.rlim_cur;
    if (lowest < own->lowest)
        own->lowest = lowest;
}

/* The main thread's size is its limit, or the free addresses below it. */
static bool find_own(void)
{
    struct own *own = of_thread_here();
    pthread_attr_t attributes;
    void *lowest;
    size_t size;
    if (own->top != 0)
        return true;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    bool found = pthread_attr_getstack(&attributes, &lowest, &size) == 0;
    pthread_attr_destroy(&attributes);
    if (found) {
        own->lowest = (uintptr_t)lowest;
        own->top = own->lowest + size;
        own->grows = syscall(SYS_gettid) == getpid();
        if (own->grows && libc_is_musl())
            add_growth();
    }
    return found;
}

static bool is_own(uintptr_t stack_pointer)
{
    struct own *own = of_thread_here();
    return stack_pointer >= own->lowest && stack_pointer < own->top;
}

static size_t size_now(void)
{
    struct own *own = of_thread_here();
    struct rlimit limit;
    size_t size = own->top - own->lowest;
    if (own->grows && getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < size)
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

/* How much of a stack is profiled. */
static size_t share_of(size_t size)
{
    size_t share = size < SMALL_STACK ? size / 4 : size / 2;
    size_t most = python.layout->profiled_stack;
    if (most != 0 && most < share)
        share = most;
    if (size - share < python.layout->free_stack)
        share = size / 8;
    return share;
}

static void find_floors(uintptr_t stack_pointer)
{
    struct own *own = of_thread_here();
    size_t size = size_now();
    size_t profiled = share_of(size);
    uintptr_t floor = own->top - profiled;
    own->deep = floor - profiled / 4;
    if (own->grows) {
        if (stack_pointer - STEP > floor)
            floor = stack_pointer - STEP;
        if (own->top - (floor - SPARE) < size)
            take(floor - SPARE);
    }
    hook_stack_here()->floor = floor;
    hook_stack_here()->size = own->top - floor;
    debug_log(evaluator, 2, "stack of %zu bytes up to %#lx, profiled down to %#lx", size,
              (unsigned long)own->top, (unsigned long)floor);
}

static bool is_in_range(uintptr_t stack_pointer)
{
    return stack_pointer - hook_stack_here()->floor < hook_stack_here()->size;
}

bool thread_stack_is_profiled(uintptr_t stack_pointer)
{
    if (is_in_range(stack_pointer))
        return true;
    if (!find_own() || !is_own(stack_pointer))
        return false;
    if (of_thread_here()->grows || hook_stack_here()->size == 0)
        find_floors(stack_pointer);
    return is_in_range(stack_pointer);
}

bool thread_stack_is_deep(uintptr_t stack_pointer)
{
    return is_own(stack_pointer) && stack_pointer < of_thread_here()->deep;
}
