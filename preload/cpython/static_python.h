/* static_python.h - an interpreter that is linked into a main program without exported symbols.
 *
 * The loader has no symbols of such a program, so Py_GetVersion is not found. But an interpreter
 * that starts calls setlocale (dlopen_libpython.h), and has the names of its environment variables
 * among its constants:
 *
 *     setlocale(LC_CTYPE, ...) from the main program --> "PYTHONHASHSEED" in its read-only segments?
 *                                                        no:  it is no Python (bash, vi)
 *                                                        yes: .symtab, or a debug file, has the rest
 */
#ifndef PYPERF_STATIC_PYTHON_H
#define PYPERF_STATIC_PYTHON_H

#include "preload/cpython/python.h"

/* Whether the code at `caller` is the main program's, it is the first such caller, and the program
 * contains an interpreter. Reads its constants up to the mark: call it only if profiling is
 * requested. Takes the loader's lock. */
bool static_python_calls(const void *caller);

/* Makes it the interpreter of this process (python.h); `files` as for python_find. False with `why`
 * when it has no symbols. */
bool static_python_find(const void *caller, python_files_function files, struct failure *why);

#endif
