/* thread_stack.h - how much of a thread's C stack profiled frames may take, from CPython 3.11 on.
 *
 * There the evaluator runs calls without C stack, unless the interpreter calls the hook
 * (frame_evaluator.h). So where frames may be profiled is a range of stack pointers, which the hook
 * looks at itself (hook.h, hook_stack); whoever is outside of it asks here:
 *
 *     top     +------------------+  high addresses
 *             | profiled         |  half of the stack, a quarter of a small one, or what the row says
 *     floor   +------------------+
 *             | short            |  run without the hook
 *     deep    +------------------+  a quarter more
 *             | deep             |  and no other thread sets the hook meanwhile
 *     lowest  +------------------+  where the stack ends
 *
 *     elsewhere: a stack that the program has made itself (ucontext, boost.context), above or below the
 *     thread's own. How long it is nobody knows: run without the hook.
 *
 * The main thread's stack grows as far as RLIMIT_STACK allows at that moment, and the program may lower
 * that. So the floor is not further than a step below the stack pointer, and the step has been taken:
 * what the kernel has once given the stack it keeps. There the limit is looked at again. */
#ifndef PYPERF_THREAD_STACK_H
#define PYPERF_THREAD_STACK_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a frame of this thread at this stack pointer may be profiled. Moves the hook's range. */
bool thread_stack_is_profiled(uintptr_t stack_pointer);

/* Whether it is so deep that no other thread may set the hook. */
bool thread_stack_is_deep(uintptr_t stack_pointer);

#endif
