/* dlopen_libpython.h - a libpython that arrives by dlopen, long after the constructor: a server's plugin
 * (uWSGI, mod_wsgi), an editor's, a JVM's.
 *
 * Nothing says that an object was loaded; but an interpreter that starts asks for the locale before
 * it runs its first frame, always (3.6: Python/pylifecycle.c, _Py_InitializeEx_Private; 3.7:
 * _Py_InitializeCore; from 3.8 on: Python/preconfig.c, _PyPreConfig_Read), and by a call that the
 * loader resolves to the first object that defines setlocale, which is this one:
 *
 *     libpython  Py_Initialize --> setlocale   libpyperf.so: the caller is an interpreter?
 *                                      |          yes: lifecycle_start, once
 *                                      '-----> setlocale of libc
 *
 * So it does not matter who loads libpython, with which flags, or how Py_Initialize was found; and
 * one that is loaded and never started is left alone. The other way, to export Py_Initialize
 * itself, would show programs that look for it an interpreter that is not there. */
#ifndef PYPERF_LATE_H
#define PYPERF_LATE_H

#include <stdbool.h>

/* libc's, exported; any thread. A caller that is no interpreter costs a walk over the loaded
 * objects, a few hundred nanoseconds, and nothing once an interpreter is known. The main program,
 * when it asks for LC_CTYPE and the environment for profiling, is looked through (static_python.h). */
char *setlocale(int category, const char *locale);

/* In the constructor: from now on, looks for an interpreter, or not, because there is one already.
 * Finds libc's setlocale while nobody can have an error to read yet: dlsym takes away what dlerror
 * would say. */
void dlopen_libpython_start(bool look);

#endif
