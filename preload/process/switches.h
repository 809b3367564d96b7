/* switches.h - whether the user has requested profiling, by CPython's own rules
 * (Doc/using/cmdline.rst and Python/initconfig.c of 3.12 and 3.13). Evaluated in this order, a
 * later one overriding an earlier one that is off or less:
 *
 *     PYTHONPERFSUPPORT   -X perf   PYTHON_PERF_JIT_SUPPORT   -X perf_jit
 *
 * so that anything with a jitdump beats anything with a map. */
#ifndef PYPERF_SWITCHES_H
#define PYPERF_SWITCHES_H

#include <stdbool.h>

#include "preload/profile/mode.h"

/* Under the interpreter's lock, as the interpreter itself has parsed its command line, -E and -I.
 * False if it has not read its -X options yet. `frame` is the one about to run: if it does not
 * belong to the frozen import system, the decision is made with the options known so far. */
bool switches_read(const void *frame, enum profile_mode *mode);

/* Whether the environment alone requests profiling: if so, the user is told when the interpreter
 * cannot be examined. */
bool switches_in_environment(void);

/* A value as CPython reads it: strtol in base 10 over the whole string, within int, not zero. NULL
 * is off. */
bool switches_value_is_on(const char *value);

#endif
