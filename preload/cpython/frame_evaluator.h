/* frame_evaluator.h - the interpreter's own pointer to its frame evaluator (PEP 523), where it
 * needs one.
 *
 * To 3.10 each Python call is a C call of the evaluator, and the detour at its entry sees them all.
 * From 3.11 on the evaluator runs a Python-to-Python call in its own loop, without a C call and
 * without C stack, unless the interpreter has another evaluator:
 *
 *     no evaluator set               hook set                      hook set, stack short
 *     f() -> g() -> h():             f(): hook, trampoline, evaluator    f(): hook, run_inlined: none set
 *     one evaluator, one C frame     g(): hook, trampoline, evaluator    one evaluator: f(), g(), h()
 *                                    h(): hook, trampoline, evaluator    set again when f() returns
 *
 * So the hook becomes an interpreter's evaluator when the first of its frames runs through the
 * entry. Calls then take C stack: 25,000 nested calls would need more than there is. When half of a
 * thread's stack is used, the interpreter inlines calls again; their frames have no names in perf,
 * and recursion is as deep as without libpyperf.
 *
 * The evaluator belongs to the whole interpreter. Frames of another thread, or of another greenlet
 * of the same one, set the hook again, and then the deep thread's next call takes C stack once
 * more, each time that they take turns. So when a quarter more of the stack is used than is
 * profiled, the hook stays unset until that thread returns. After a thread has ended while deep, by
 * pthread_exit, it stays unset until C calls the next frame. */
#ifndef PYPERF_FRAME_EVALUATOR_H
#define PYPERF_FRAME_EVALUATOR_H

#include <stdint.h>

#include "preload/cpython/python.h"

/* The hook for this layout, the target of the detour's stub; 0 when there is none (hook.h). `plain`
 * is the evaluator behind the detour. */
uintptr_t frame_evaluator_start(uintptr_t plain);

/* In the slow path of a frame: makes the current interpreter call the hook. Returns 0 if the frame
 * gets its trampoline, otherwise the address at which it must run instead, because this thread's
 * stack is short, or not its own (thread_stack.h). */
uintptr_t frame_evaluator_adopt(void);

/* Makes all interpreters of the process call the hook, or with `on` false none of them; if each may
 * have its own lock, only the current one. Another tool's evaluator stays set; it passes its frames
 * to the entry. */
void frame_evaluator_adopt_all(bool on);

/* In the slow path of a frame while profiling is off: unsets the hook in the current
 * interpreter. */
void frame_evaluator_leave(void);

/* Whether the holder of the current interpreter's lock may write to the evaluator's entry, because
 * no other thread can be there. False while there are interpreters with their own locks. */
bool frame_evaluator_may_be_patched(void);

/* In a new child, and after an interpreter's end: only this thread's deep frames are left.
 */
void frame_evaluator_is_alone(void);

#endif
