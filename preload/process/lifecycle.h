/* lifecycle.h - one process under libpyperf, from its constructor to its end.
 *
 *   constructor      lifecycle_start: everything that can fail, then the jump at the entry
 *   first frame      confirm the interpreter's layout, read its switches, go on or off
 *   a later frame    the handler of PYPERF_TOGGLE_SIGNAL, if requested (toggle.c)
 *   each new frame   its code object's trampoline (profile.h)
 *   fork             the child makes images and files of its own at its next new frame
 *   Py_Finalize      the next interpreter's first frame is a first frame again
 *   exit             lifecycle_finish: the map is cut to its lines */
#ifndef PYPERF_LIFECYCLE_H
#define PYPERF_LIFECYCLE_H

/* Called once, in the constructor of a process that is Python, or when a libpython that was loaded
 * later starts its interpreter (dlopen_libpython.h); no frame has run yet. Prints one line if
 * profiling was requested and fails; the program then runs as without libpyperf. */
void lifecycle_start(void);

void lifecycle_finish(void);

#endif
