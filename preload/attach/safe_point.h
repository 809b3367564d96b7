/* safe_point.h - a script that the interpreter itself runs at its next safe point, from 3.14 on
 * (PEP 768, sys.remote_exec): for processes that cannot be stopped by ptrace.
 *
 *     main interpreter --> its first thread's state
 *                              eval_breaker         a bit in it: look for what is pending
 *                              debugger_pending_call
 *                              debugger_script_path
 *
 * Only that state is written to: it is a part of the interpreter's structure, which lives as long
 * as the interpreter (Include/internal/pycore_interp_structs.h, PyInterpreterState._initial_thread).
 * Other threads' states are freed when these end, perhaps between our look and our writing. */
#ifndef PYPERF_ATTACH_SAFE_POINT_H
#define PYPERF_ATTACH_SAFE_POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/attach/python_place.h"
#include "preload/attach/target.h"

struct safe_point {
    uint64_t breaker, pending, path; /* their addresses */
    size_t room;                     /* for the path, and a NUL */
};

enum safe_point_answer {
    SAFE_POINT_FOUND,
    SAFE_POINT_UNKNOWN,   /* a version before 3.14 */
    SAFE_POINT_DISABLED,  /* -X disable-remote-debug, PYTHON_DISABLE_REMOTE_DEBUG, or so built */
    SAFE_POINT_NO_THREAD, /* the first thread has ended, or was another one than that which forked */
};

enum safe_point_answer safe_point_find(const struct target *target,
                                       const struct python_place *place, struct safe_point *point);

/* Has the script at this path, as the process sees it, run. False: it is too long, or the memory
 * cannot be written. */
bool safe_point_ask(const struct target *target, const struct safe_point *point, const char *path);

/* Whether it is still to be run. False also when the process has ended. */
bool safe_point_is_pending(const struct target *target, const struct safe_point *point);

/* Makes the thread look for it, if it would not by itself: once it runs bytecode. */
void safe_point_nudge(const struct target *target, const struct safe_point *point);

/* Takes it back. */
void safe_point_take_back(const struct target *target, const struct safe_point *point);

/* The path of a script that is still to be run; false: there is none. */
bool safe_point_path(const struct target *target, const struct safe_point *point, char *path,
                     size_t size);

#endif
