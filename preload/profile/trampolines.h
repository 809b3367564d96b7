/* trampolines.h - from a code object to its trampoline.
 *
 * The trampoline's address is stored with the code object (code_tags.h), so that it has the
 * object's lifetime: a table keyed by addresses of code objects would give its name to the next
 * object at that address. The hook jumps to that address; this is the slow path, for a code object
 * without a valid one. */
#ifndef PYPERF_TRAMPOLINES_H
#define PYPERF_TRAMPOLINES_H

#include <stdint.h>

#include "preload/cpython/names.h"
#include "preload/cpython/python.h"
#include "preload/profile/mode.h"

/* Finds or makes the trampoline of a code object in `mode`, which is not off. Returns its address;
 * 0 when there is none now; UINTPTR_MAX when there never will be one. Under the profile's lock, and
 * so runs no Python code: no allocation of the interpreter, no exception. */
uintptr_t trampolines_find(enum profile_mode mode, const python_object *code, uint64_t value);

/* The name that a code object's trampoline has or would have: py::<qualified name>:<file>. Under the
 * profile's lock. */
void trampolines_name(struct name *name, const python_object *code);

/* The qualified name of the function at an address that trampolines_find has returned. Never
 * freed. */
const char *trampolines_qualname(uintptr_t address);

#endif
