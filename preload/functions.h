/* functions.h - from a code object to its trampoline.
 *
 * What is known about a code object is kept in its own co_extra (hook.S reads it there), because it
 * dies with the object: a table keyed by address would name whoever comes to stand there next. Our
 * value there is a plain number with a tag, nothing to be freed:
 *
 *     0                          never seen
 *     slot tag | address         its trampoline; the tag changes in a forked child
 *     ENCLOSED | scope, id       not run yet; enclosed by function `id`, whose name its own starts
 * with
 *
 * 3.11 knows qualified names. Before, a code object knows only its own name, but the functions that
 * it defines are made by running it: when a class body or function runs for the first time, each
 * code object among its constants gets the ENCLOSED value. */
#ifndef PYPERF_FUNCTIONS_H
#define PYPERF_FUNCTIONS_H

#include <stdint.h>

#include "python.h"

/* The interpreter whose code objects these are; before anything else here. */
void functions_start(const struct python *python);

/* Gives our place in co_extra the values of this process: at start, and in each forked child, where
 * the trampolines of the parent are no longer valid. Safe in a signal handler. */
void functions_new_process(void);

/* The address at which the frame of this code object is to be run: its trampoline, or `plain` (the
 * evaluator itself) when it can have none. Keeps the pending exception and errno. */
uintptr_t functions_trampoline(python_object *code, uintptr_t plain);

#endif
