/* thread_stack.h - how much of a thread's C stack profiled frames may take, from CPython 3.11 on.
 *
 * There the evaluator runs calls without C stack, unless the interpreter calls the hook
 * (frame_evaluator.h). So frames are profiled in a range of stack pointers, which the hook checks
 * itself (hook.h, hook_stack); frames outside of it are decided on here:
 *
 *     top     +------------------+  high addresses
 *             | profiled         |  half of the stack, a quarter or an eighth of a small one, or what the row says
 *     floor   +------------------+
 *             | short            |  run without the hook
 *     deep    +------------------+  a quarter more
 *             | deep             |  and the hook stays unset in all threads
 *     lowest  +------------------+  where the stack ends
 *
 *     elsewhere: a stack that the program has allocated (ucontext, boost.context), above or below
 *     the thread's own, of unknown size: run without the hook.
 *
 * The main thread's stack grows as far as RLIMIT_STACK allows at that moment, and the program may
 * lower that. So the floor is at most one step below the stack pointer, and the stack is already
 * extended to it, because the kernel does not take stack back. At the floor the limit is checked
 * again. */
#ifndef PYPERF_THREAD_STACK_H
#define PYPERF_THREAD_STACK_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a frame of this thread at this stack pointer may be profiled. Moves the hook's range. */
bool thread_stack_is_profiled(uintptr_t stack_pointer);

/* Whether it is so deep that no other thread may set the hook. */
bool thread_stack_is_deep(uintptr_t stack_pointer);

#endif
