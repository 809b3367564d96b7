/* walk.h - the frames of machine code of a thread that a signal has interrupted.
 *
 * A frame's rule comes from .eh_frame (eh_frame.h) and is kept by the address of its instruction: a
 * program has few of them, and looking one up costs microseconds. A step then reads two words of
 * the stack.
 *
 * Most of a stack is as it was when the thread was sampled last. So that stack is kept, and once
 * the new one meets it, in a frame with the same registers, the words that each step has read are
 * compared instead:
 *
 *     last    main  run  f  g  h
 *     now     main  run  f  k        walked: k; met: f; compared: f, run, main
 *
 * For signal handlers: no allocation, no lock; no memory is read that has not been found readable.
 * A struct unwind_stack belongs to one thread at a time. */
#ifndef PYPERF_UNWIND_WALK_H
#define PYPERF_UNWIND_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trampoline/unwind/code_map.h"
#include "trampoline/unwind/expression.h"

struct unwind_frame {
    struct unwind_registers registers;
    uint32_t span; /* CFA - stack pointer; 0: not known */
    int32_t
        saved; /* where the step has read the caller's frame pointer, from the CFA; 0: it has not */
    int32_t returns;  /* where it has read the return address, from the CFA */
    uint32_t user[2]; /* of whoever uses the stack; 0 in a frame that was not there last time */
    bool exact;       /* pc is the next instruction, and not a return address */
    bool varies;      /* the step depends on more than the registers: it cannot be compared */
};

enum { UNWIND_FRAMES = 16384 }; /* CPython to 3.10 has 4 for each of a thousand calls by default */

struct unwind_stack {
    uint32_t count;
    bool cut;       /* does not reach the thread's begin */
    uint32_t above; /* span of the innermost frame: it is never compared */
    /* The thread's stack, as far as it is known to be mapped: from the stack pointer of any whole
     * walk to its outermost frame. What is between the present stack pointer and `top` cannot be
     * unmapped: the thread returns there. Both 0: not known. To be set to 0 for another thread. */
    uintptr_t low, top;
    struct unwind_frame frames[UNWIND_FRAMES]; /* outermost first */
    struct unwind_frame fresh[UNWIND_FRAMES];  /* while walking, innermost first */
};

/* The rules of this process; false without memory. */
bool unwind_start(void);

/* Frees them, when nobody walks any more. */
void unwind_finish(void);

/* Replaces the stack by that of the thread that was interrupted; `context` is the third argument of
 * the signal's handler. `seen` is called for code that is met for the first time. Returns whether
 * code was unmapped since the last walk of any thread: then addresses that were kept may mean other
 * code. Changes errno. */
bool unwind_walk(struct unwind_stack *stack, const void *context, uint64_t now,
                 code_map_seen *seen);

/* The CFA of a frame of the stack; 0 if it is not known. */
uintptr_t unwind_cfa(const struct unwind_stack *stack, uint32_t index);

/* The address that a frame stands for: within the call, in all but the innermost frame and those
 * that a signal has interrupted. */
uintptr_t unwind_address(const struct unwind_stack *stack, uint32_t index);

#endif
