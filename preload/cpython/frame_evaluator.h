/* frame_evaluator.h - the interpreter's own pointer to its frame evaluator (PEP 523), where it needs one.
 *
 * To 3.10 each Python call is a C call of the evaluator, and the detour at its entry sees them all.
 * In 3.11 the evaluator runs a Python-to-Python call in its own loop, without a C call and without
 * C stack, unless the interpreter has been given another evaluator:
 *
 *     no evaluator set               hook set                      hook set, stack short
 *     f() -> g() -> h():             f(): hook, trampoline, evaluator    f(): hook, run_inlined: none set
 *     one evaluator, one C frame     g(): hook, trampoline, evaluator    one evaluator: f(), g(), h()
 *                                    h(): hook, trampoline, evaluator    set again when f() returns
 *
 * So an interpreter is told to call the hook as soon as one of its frames comes in through the
 * entry. That costs C stack that the program did not need before: 25,000 calls deep, it would be
 * more than there is. When half of a thread's stack is used, frames are handed back to the
 * interpreter's own inlining; they have no names of their own in perf, and the program runs as deep
 * as it does without us.
 *
 * The evaluator is the whole interpreter's. Another thread, or another greenlet of the same one,
 * sets the hook again by its own frames, and then the deep one's next call takes C stack once more:
 * as often as they take turns. So when a quarter more of the stack is used than is profiled, nobody
 * sets the hook until the deep one has come back up. A thread that ends deep, by pthread_exit,
 * leaves no evaluator set until C calls the next frame. */
#ifndef PYPERF_EVALUATOR_H
#define PYPERF_EVALUATOR_H

#include <stdint.h>

#include "preload/cpython/python.h"

/* The hook for this layout: what the detour's stub leads to; 0 when there is none (hook.h). `plain`
 * is the evaluator behind the detour. */
uintptr_t frame_evaluator_start(uintptr_t plain);

/* In the slow way of a frame: makes the current interpreter call the hook. Returns 0 when the frame
 * is to have its trampoline, else the address at which it must run instead, because this thread's stack
 * is short, or not its own (thread_stack.h). */
uintptr_t frame_evaluator_adopt(void);

/* Makes all interpreters of the process call the hook, or with `on` false none of them; where each
 * may have a lock of its own, the current one. An evaluator that somebody else has set is left where
 * it is; it hands its frames to the entry. */
void frame_evaluator_adopt_all(bool on);

/* In the slow way of a frame while profiling is off: the current interpreter is not to call the
 * hook. */
void frame_evaluator_leave(void);

/* Whether whoever holds the current interpreter's lock may write to the evaluator's entry: nobody
 * else can be there. Not so while there are interpreters with locks of their own. */
bool frame_evaluator_may_be_patched(void);

/* In a new child, and after an interpreter's end: of the threads that were deep, this one is left.
 */
void frame_evaluator_is_alone(void);

#endif
