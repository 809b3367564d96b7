/* sys_functions.h - sys.activate_stack_trampoline, sys.deactivate_stack_trampoline and
 * sys.is_stack_trampoline_active, on interpreters that do not have them, and replaced on those that
 * do (native_support.h).
 *
 * Every interpreter of the process gets them, including later sub-interpreters, which CPython makes
 * without calling us. So they are added to the sources of CPython's sys modules: the module
 * definition's table of methods (used by 3.9 and later, and whenever the first interpreter is
 * made), and the copy of the first interpreter's module dictionary, from which sub-interpreters get
 * theirs to 3.8 (Python/import.c, _PyImport_FindExtensionObject). 2.7 has such a copy alone
 * (_PyImport_FindExtension). */
#ifndef PYPERF_SYS_FUNCTIONS_H
#define PYPERF_SYS_FUNCTIONS_H

#include "preload/cpython/python.h"

/* In an interpreter's first frame; adding them to the first interpreter is enough for all. False,
 * without an exception, when something is unexpected; then only the functions are missing. */
bool sys_functions_add(void);

#endif
