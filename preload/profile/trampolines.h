/* trampolines.h - from a code object to its trampoline.
 *
 * The trampoline's address is kept with the code object (code_tags.h), because it dies with the
 * object: a table keyed by the address of code objects would name whoever comes to stand there next.
 * The hook takes a frame to that address; this is the slow way, for a code object that has none that
 * holds now. */
#ifndef PYPERF_TRAMPOLINES_H
#define PYPERF_TRAMPOLINES_H

#include <stdint.h>

#include "preload/cpython/python.h"
#include "preload/profile/mode.h"

/* Finds or makes the trampoline of a code object in `mode`, which is not off. Returns its address;
 * 0 when there is none now; UINTPTR_MAX when there never will be one. Under the profile's lock, and
 * so runs no Python code: no allocation of the interpreter, no exception. */
uintptr_t trampolines_find(enum profile_mode mode, const python_object *code, uint64_t value);

/* Of an address that trampolines_find has returned: the qualified name of its function. Valid for as
 * long as the process lives. */
const char *trampolines_qualname(uintptr_t address);

#endif
