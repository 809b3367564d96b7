/* unwind.h - single-steps an evaluator with a known entry, called with known registers. */
#ifndef PYPERF_TEST_UNWIND_H
#define PYPERF_TEST_UNWIND_H

#include "plan.h"
#include "trampoline/image_file.h"
#include "unwind_registers.h"

/* unwind.S of the CPU */
extern const uint64_t unwind_known[6]; /* UNWIND_REGISTERS in unwind_call */
extern uint64_t unwind_sp;             /* and the stack pointer */
extern evaluator *unwind_callee;       /* called by the evaluator */
extern const uint8_t unwind_return[], unwind_continue[];
long unwind_call(evaluator *target, long flags);

/* The evaluator: its first bytes are displaced, and then it calls unwind_callee. */
const struct detour_plan *unwind_plan(void);

/* The initial unwind_callee: 1, 2, 3 give 123. */
long unwind_digits(long a, long b, long c);

/* Runs trampolines of an image, and its prologue, in unwind_call. Before each instruction a signal
 * handler calls `unwind`, which returns what is wrong with the frames that it finds there, or
 * NULL. */
void assert_unwinds_at_each_step(const char *(*unwind)(void *context));

#endif
