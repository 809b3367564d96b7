/* sys_functions.h - sys.activate_stack_trampoline, sys.deactivate_stack_trampoline and
 * sys.is_stack_trampoline_active, on interpreters that have not got them,
 * and in the place of those that have (native_support.h).
 *
 * Every interpreter of the process gets them, sub-interpreters that do not exist yet included, and
 * those are made without a call of ours. So they are put where CPython itself makes sys modules
 * from: the module definition's table of methods (used by 3.9 and later, and whenever the first
 * interpreter is made), and the copy of the first interpreter's module dictionary, from which
 * sub-interpreters get theirs to 3.8 (Python/import.c, _PyImport_FindExtensionObject). 2.7 has such
 * a copy alone (_PyImport_FindExtension). */
#ifndef PYPERF_SYS_FUNCTIONS_H
#define PYPERF_SYS_FUNCTIONS_H

#include "preload/cpython/python.h"

/* In an interpreter's first frame; what the first interpreter gets is there for all. False,
 * without an exception, when something is not as it should be; the functions are then missing, and
 * nothing else is wrong. */
bool sys_functions_add(void);

#endif
