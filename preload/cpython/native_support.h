/* native_support.h - replaces the perf support of CPython 3.12 and later by ours.
 *
 * The switches are the same, and so is their effect on a program. But the interpreter's trampolines
 * are anonymous memory, in which a stack without frame pointers ends, and its own map and ours
 * would be two writers of one file. So its switch is cleared before it acts on it
 * (Python/pylifecycle.c, init_interp_main), and restored afterwards, because from 3.14 on later
 * steps depend on it: with perf support on, the JIT stays off, with a warning.
 *
 *     PyConfig.perf_profiling
 *     1 or 2 ------ read ------- 0 ---------- init_interp_main: off ------- 1 or 2 --- JIT, program
 *            (native_support_read)  (native_support_take)       import io         (native_support_give_back)
 *
 * PYPERF_NATIVE=1 leaves all of it to the interpreter (python_is_left_alone). */
#ifndef PYPERF_NATIVE_SUPPORT_H
#define PYPERF_NATIVE_SUPPORT_H

#include <stdbool.h>

#include "preload/cpython/python.h"

/* The interpreter's parsed switch: 0 off, 1 map, 2 jitdump; 0 for an interpreter without such
 * support. All of these are called under the interpreter's lock. */
int native_support_read(void);

/* In the main interpreter's first frames: sets its switch to off, if it has one. */
void native_support_take(void);

/* In each frame: restores a switch that was set to off, once the interpreter has passed it. Keeps
 * the pending exception. */
void native_support_give_back(void);

/* Whether the JIT is on in an interpreter that does not have both at a time. Leaves no
 * exception. */
bool native_support_is_excluded(void);

#endif
