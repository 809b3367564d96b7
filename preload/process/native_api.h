/* native_api.h - replaces the C API of CPython's own perf support (Include/cpython/sysmodule.h and
 * ceval.h: PyUnstable_PerfMapState_Init and related functions).
 *
 * An extension that makes code may write its names to the map; the interpreter's own writer and
 * ours would corrupt the file (gh-103295). And with its switch cleared (native_support.h)
 * PyUnstable_PerfTrampoline_CompileCode would call a null pointer. So each of these functions
 * begins with a jump to ours. */
#ifndef PYPERF_NATIVE_API_H
#define PYPERF_NATIVE_API_H

#include "preload/cpython/python.h"
#include "trampoline/detour.h"

enum { NATIVE_API_TARGETS = 1 + PYTHON_NATIVE_API_COUNT };
_Static_assert((int)NATIVE_API_TARGETS <= (int)DETOUR_STUBS, "the page has fewer stubs");

/* Fills targets[1] and up with the targets of the stubs in the page near the evaluator (targets[0]
 * is the hook's), and returns how many there are. */
size_t native_api_targets(uintptr_t targets[NATIVE_API_TARGETS]);

/* Plans the jumps. `prepare` is detour_prepare_replacement, which is not part of libpyperf.so. */
bool native_api_plan(__typeof__(&detour_prepare_replacement) prepare, uintptr_t page,
                     struct failure *why);

/* Writes all jumps or, with `why`, none. */
bool native_api_replace(struct failure *why);

/* Restores the interpreter's own functions. */
void native_api_restore(void);

#endif
