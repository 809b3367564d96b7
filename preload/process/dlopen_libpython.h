/* dlopen_libpython.h - a libpython that is loaded by dlopen, long after the constructor: by a
 * server's plugin (uWSGI, mod_wsgi), an editor, a JVM.
 *
 * No event tells that an object was loaded; but an interpreter that starts always calls setlocale
 * before it runs its first frame (3.6: Python/pylifecycle.c, _Py_InitializeEx_Private; 3.7:
 * _Py_InitializeCore; from 3.8 on: Python/preconfig.c, _PyPreConfig_Read), and the loader resolves
 * that call to the first object that defines setlocale, which is this one:
 *
 *     libpython  Py_Initialize --> setlocale   libpyperf.so: the caller is an interpreter?
 *                                      |          yes: lifecycle_start, once
 *                                      '-----> setlocale of libc
 *
 * So it does not matter how libpython was loaded, or how Py_Initialize was found; and one that is
 * never started is not touched. To export Py_Initialize itself instead would show an interpreter to
 * programs that look for one. */
#ifndef PYPERF_DLOPEN_LIBPYTHON_H
#define PYPERF_DLOPEN_LIBPYTHON_H

#include <stdbool.h>

/* Replaces libc's; any thread. For a caller that is no interpreter it walks the loaded objects, a
 * few hundred nanoseconds, and no longer once an interpreter is known. A main program that sets
 * LC_CTYPE is searched for an interpreter if the environment requests profiling
 * (static_python.h). */
char *setlocale(int category, const char *locale);

/* In the constructor: whether to look for an interpreter from now on, or not, because there is one
 * already. Finds libc's setlocale now, because dlsym clears the program's dlerror. */
void dlopen_libpython_start(bool look);

/* Ends the search: the interpreter was found in another way. */
void dlopen_libpython_found(void);

#endif
