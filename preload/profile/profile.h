/* profile.h - profiling switched on and off, at start or by the program through the sys functions.
 *
 *             entry of the evaluator   interpreters (PEP 523)   trampoline tag
 *   off       as it was                call nobody of ours      nobody's
 *   on        jump to the hook         call the hook            that of the writer
 *
 * Off means off: the program runs its own code alone. Images, files and what is noted in code
 * objects stay, so that on again costs nothing but two writes to the text. All of this happens
 * under the interpreter's lock, and no thread that has not got the lock is at the evaluator's
 * entry. */
#ifndef PYPERF_PROFILE_H
#define PYPERF_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/python.h"
#include "preload/profile/registry.h"

/* Everything that is known when the detour has been committed; kept. The profile is off then, with
 * the jump in place, for the first frames. */
void profile_start(const struct detour_plan *detour, const char *directory);

/* The interpreter has ended. Off, with the jump in place, as profile_start leaves it: for the first
 * frames of the next one. False when the jump cannot be had; there is no profile then. */
bool profile_restart(void);

/* On with this writer, or another writer when it is on. False with `why`: it is then as it was. */
bool profile_activate(enum registry_writer writer, struct failure *why);

/* Off; when it is off already, nothing. */
void profile_deactivate(void);

bool profile_is_active(void);

/* The address at which a frame is to run. */
uintptr_t profile_frame(const void *frame);

/* Gives a code object its trampoline before its first frame, while the profile is on. */
void profile_code(python_object *code);

/* In the handler of pthread_atfork, in the child. */
void profile_forked(void);

#endif
