/* static_python.h - an interpreter that was linked into the main program, which exports nothing of it.
 *
 * The loader knows no symbol of such a program: Py_GetVersion, by which others are found, is not
 * there. But an interpreter that starts asks for the locale (dlopen_libpython.h), and has the names
 * of its environment variables among its constants:
 *
 *     setlocale(LC_CTYPE, ...) from the main program --> "PYTHONHASHSEED" in its read-only segments?
 *                                                        no:  it is no Python (bash, vi)
 *                                                        yes: .symtab, or a debug file, has the rest
 */
#ifndef PYPERF_STATIC_PYTHON_H
#define PYPERF_STATIC_PYTHON_H

#include "preload/cpython/python.h"

/* Whether the code at `caller` is the main program's, it is the first such caller, and the program
 * holds an interpreter. Reads its constants up to the mark: to be asked where profiling was asked
 * for. Takes the loader's lock. */
bool static_python_calls(const void *caller);

/* Makes it the interpreter of this process (python.h); `files` as for python_find. False with `why`
 * when its symbols are nowhere. */
bool static_python_find(const void *caller, python_files_function files, struct failure *why);

#endif
