/* functions.h - from a code object to its trampoline.
 *
 * What is known about a code object is kept in its own co_extra (hook.S reads it there), because it
 * dies with the object: a table keyed by address would name whoever comes to stand there next. Our
 * value there is a plain number with a tag, nothing to be freed:
 *
 *     0                         never seen
 *     trampoline tag | address        its trampoline; there is one such tag for each process in a line of
 *                               forks and each writer, so that a value says whether it still holds
 *     ENCLOSED | text           not registered yet; the text is what its qualified name begins with
 *     QUALIFIED | text          not registered yet; the text is its whole qualified name
 *
 * 3.11 knows qualified names. Before, a code object knows only its own name, but the functions that
 * it defines are made by running it: when a class body or function runs for the first time, each
 * code object among its constants gets an ENCLOSED value. For those that were defined while nobody
 * was looking, all function objects are asked once. */
#ifndef PYPERF_FUNCTIONS_H
#define PYPERF_FUNCTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/python.h"
#include "preload/profile/registry.h"

/* The interpreter whose code objects these are; before anything else here, and before each of its
 * lives: none is profiled, and there are none that nobody has seen. */
void functions_start(void);

/* Before profiling is switched on by the program: imports what will be needed then to ask for the
 * names of functions. False, with an exception, when that cannot be done. */
bool functions_prepare(void);

/* Which trampoline tag is in force: that of a writer, or with `on` false one that no value has, so that
 * every frame goes the slow way. */
void functions_use(enum registry_writer writer, bool on);

/* In a forked child the trampolines of the parent are no longer valid. Safe in a signal handler. */
void functions_forked(void);

/* The address at which the frame of this code object is to be run: its trampoline, or `plain` (the
 * evaluator itself) when it can have none. Keeps the pending exception and errno. */
uintptr_t functions_trampoline(python_object *code, uintptr_t plain);

/* For a frame that is not profiled, while it may still turn out that the next ones are: notes the
 * names of what it defines. */
void functions_note(python_object *code);

#endif
