/* native_api.h - the C API of CPython's own perf support, answered by ours (Include/cpython/sysmodule.h
 * and ceval.h: PyUnstable_PerfMapState_Init and what belongs to it).
 *
 * An extension that makes code may write its names to the map; with the interpreter's own writer
 * there would be two of one file, and two corrupt it (gh-103295). And with its switch taken back
 * (native_support.h) PyUnstable_PerfTrampoline_CompileCode would call a function that is not there.
 * So each of these functions begins with a jump to ours. */
#ifndef PYPERF_NATIVE_API_H
#define PYPERF_NATIVE_API_H

#include "preload/cpython/python.h"
#include "trampoline/detour.h"

enum { NATIVE_API_TARGETS = 1 + PYTHON_NATIVE_API_COUNT };
_Static_assert((int)NATIVE_API_TARGETS <= (int)DETOUR_STUBS, "the page has fewer stubs");

/* Fills targets[1] and up with what the stubs of the page near the evaluator lead to (targets[0] is
 * the hook's), and returns how many there are. */
size_t native_api_targets(uintptr_t targets[NATIVE_API_TARGETS]);

/* Plans the jumps. `prepare` is detour_prepare_replacement, which is not part of libpyperf.so. */
bool native_api_plan(__typeof__(&detour_prepare_replacement) prepare, uintptr_t page,
                     struct failure *why);

/* Writes all jumps or, with `why`, none. */
bool native_api_replace(struct failure *why);

/* Puts the interpreter's own functions back. */
void native_api_restore(void);

#endif
