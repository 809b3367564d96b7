/* profile.h - profiling switched on and off, at start or by the program through the sys functions.
 *
 *             entry of the evaluator   interpreters (PEP 523)    tag in force (code_tags.h)
 *   off       original                 call CPython's evaluator  none
 *   on        jump to the hook         call the hook             that of the mode and this process
 *
 * This module owns the mode: off, map or jitdump. Other code calls profile_mode, or, for a frame,
 * reads the tag in force, which publishes the mode. A switch is complete or has no effect. When
 * off, the program runs only its own code; images, files and the values of code objects stay, so
 * that switching on again only writes to the text.
 *
 * One lock guards the mode and all that belongs to it: registry, images, outputs. The interpreter's
 * lock is not enough: from 3.12 on interpreters may have a lock each (PEP 684). Under it no Python
 * code runs and no interpreter's lock is taken, so it is held for microseconds, and longer only
 * when an image is made. It is held during a fork. */
#ifndef PYPERF_PROFILE_H
#define PYPERF_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/python.h"
#include "preload/profile/mode.h"
#include "trampoline/detour.h"

/* Once, before the detour is committed: the mode is off, and every frame calls profile_frame.
 * `detour` and `directory`, an absolute path for images, must stay valid. False with `why` when the
 * fork handlers cannot be installed. */
bool profile_start(const struct detour_plan *detour, const char *directory, struct failure *why);

/* Writes the jump into the text, for the first frames of an interpreter. False with `why` on
 * failure; nothing is profiled then. */
bool profile_arm(struct failure *why);

/* Switches off or on. False with `why`: nothing has changed. Off cannot fail: if the jump cannot be
 * taken out of the text, the hook passes all frames on, and one line says so. */
bool profile_switch(enum profile_mode mode, struct failure *why);

/* Writes down the Python calls that are running (running_calls.h): directly after a switch to on, but
 * for those by the program itself, which may switch for each of its tasks; and again at any time.
 * Under the interpreter's lock. Keeps the exception and errno. */
void profile_begin_running_calls(void);
void profile_look_at_running_calls(void);

/* Any thread. */
enum profile_mode profile_mode(void);

/* The variable that profile_mode reads; pyperf-attach reads it from outside (attach.h). */
extern enum profile_mode profile_mode_now;

/* The address at which a frame is to run. Under its interpreter's lock. Keeps the exception. */
uintptr_t profile_frame(const void *frame);

/* Gives a code object its trampoline before its first frame, while profiling is on. */
void profile_code(python_object *code);

#endif
