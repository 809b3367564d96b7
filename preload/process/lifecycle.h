/* lifecycle.h - one process under libpyperf, from its constructor to its end.
 *
 *   constructor      lifecycle_start: everything that can fail, then the jump at the entry
 *   first frame      confirm the interpreter's layout, read its switches, go on or off
 *   a later frame    the handler of PYPERF_TOGGLE_SIGNAL, if requested (toggle.c)
 *   each new frame   its code object's trampoline (profile.h)
 *   fork             the child makes images and files of its own at its next new frame
 *   Py_Finalize      the next interpreter's first frame is a first frame again
 *   exit             lifecycle_finish: the map is cut to its lines
 *
 * A process that was started without libpyperf and has been running for a while (attach.h):
 *
 *   a frame          lifecycle_join: the interpreter is found, and its layout confirmed
 *                    lifecycle_join_with_detour, for trampolines: all that the constructor does */
#ifndef PYPERF_LIFECYCLE_H
#define PYPERF_LIFECYCLE_H

#include <stdbool.h>

#include "trampoline/base/failure.h"

/* Called once, in the constructor of a process that is Python, or when a libpython that was loaded
 * later starts its interpreter (dlopen_libpython.h); no frame has run yet. Prints one line if
 * profiling was requested and fails; the program then runs as without libpyperf. */
void lifecycle_start(void);

void lifecycle_finish(void);

/* At a frame's beginning, under the interpreter's lock, in a process that may or may not have been
 * started with libpyperf: afterwards the sampler can be switched on. evaluator: its address, by
 * which the interpreter is found; arguments: those in its first two registers, or from 3.13 on NULL:
 * then the frame is the thread's innermost. False with `why`: nothing has changed. Keeps the
 * exception. */
bool lifecycle_join(const void *evaluator, const void *const arguments[2], struct failure *why);

/* Behind it: afterwards trampolines can be switched on. directory, for images, must stay valid.
 * Leaves no exception. */
bool lifecycle_join_with_detour(const char *directory, struct failure *why);

/* Prepares the sampler as PYPERF_SAMPLER and PYPERF_DIR say. */
void lifecycle_prepare_sampler(void);

#endif
