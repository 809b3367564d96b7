/* profile.h - profiling switched on and off, at start or by the program through the sys functions.
 *
 *             entry of the evaluator   interpreters (PEP 523)    tag in force (code_tags.h)
 *   off       as it was                call CPython's evaluator  none
 *   on        jump to the hook         call the hook             that of the mode and this process
 *
 * This module owns the mode: off, map or jitdump. Whoever needs to know it asks here, or, on the way
 * of a frame, looks at the tag in force, by which it is published. A switch happens as a whole or
 * leaves everything as it was. Off means off: the program runs its own code alone; images, files and
 * what is noted in code objects stay, so that on again costs nothing but a write to the text.
 *
 * One lock guards the mode and all that belongs to it: registry, images, outputs. The interpreter's
 * own lock would do where there is one; from 3.12 on interpreters may have a lock each (PEP 684).
 * Under it no Python code is run and no other interpreter's lock is waited for, so it is held for
 * microseconds, and longer only when an image is made. It is held over a fork. */
#ifndef PYPERF_PROFILE_H
#define PYPERF_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/python.h"
#include "preload/profile/mode.h"
#include "trampoline/detour.h"

/* Once, before the detour is committed: off, in which every frame asks profile_frame. `detour` and
 * `directory`, an absolute path for images, are kept. False with `why` when the handlers for fork
 * cannot be had. */
bool profile_start(const struct detour_plan *detour, const char *directory, struct failure *why);

/* Writes the jump into the text, for the first frames of an interpreter. False with `why` when it
 * cannot be had; nothing is profiled then. */
bool profile_arm(struct failure *why);

/* Off or on. False with `why`: everything is as it was. Off cannot fail: where the jump cannot be
 * taken out of the text, the hook passes all frames on, and one line says so. */
bool profile_switch(enum profile_mode mode, struct failure *why);

/* Any thread. */
enum profile_mode profile_mode(void);

/* The address at which a frame is to run. Under its interpreter's lock. Keeps the exception. */
uintptr_t profile_frame(const void *frame);

/* Gives a code object its trampoline before its first frame, while profiling is on. */
void profile_code(python_object *code);

/* At exit. */
void profile_finish(void);

#endif
