/* native_support.h - CPython 3.12 and later have perf support of their own; ours takes its place.
 *
 * What a user asks for is the same, and what a program can see of it, too. But the interpreter's
 * trampolines are anonymous memory, in which a stack without frame pointers ends, and its own map
 * and ours would be two writers of one file. So its switch is taken back before it acts on it
 * (Python/pylifecycle.c, init_interp_main), and given back afterwards, since from 3.14 on what
 * follows depends on it: with perf support on, the JIT stays off, and a warning says so.
 *
 *     PyConfig.perf_profiling
 *     1 or 2 ------ read ------- 0 ---------- init_interp_main: off ------- 1 or 2 --- JIT, program
 *            (native_support_read)  (native_support_take)       import io         (native_support_give_back)
 *
 * PYPERF_NATIVE=1 leaves all of it to the interpreter (python_is_left_alone). */
#ifndef PYPERF_OWN_SUPPORT_H
#define PYPERF_OWN_SUPPORT_H

#include <stdbool.h>

#include "preload/cpython/python.h"

/* What the interpreter has made of its switches: 0 off, 1 map, 2 jitdump. Of an interpreter without
 * such support 0. All of these are called under the interpreter's lock. */
int native_support_read(void);

/* In the main interpreter's first frames: sets its switch to off. Nothing where there is none. */
void native_support_take(void);

/* In each frame until it returns true, which is when the interpreter has passed its switch by, or
 * when there is nothing to give back. Keeps the pending exception. */
bool native_support_give_back(void);

/* Whether the JIT is on in an interpreter that does not have both at a time. Leaves no exception. */
bool native_support_is_excluded(void);

#endif
