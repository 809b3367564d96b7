/* backend.h - which profiler is on: trampolines, with a map or a jitdump, or the sampler. */
#ifndef PYPERF_BACKEND_H
#define PYPERF_BACKEND_H

#include <stdbool.h>

#include "trampoline/base/failure.h"

enum backend { BACKEND_OFF, BACKEND_MAP, BACKEND_JITDUMP, BACKEND_SAMPLER };

/* Any thread. */
bool backend_is_active(void);

/* Switches to a backend, which replaces the present one, as in CPython. Under the interpreter's
 * lock. False with `why`: nothing has changed. */
bool backend_switch(enum backend backend, struct failure *why);

#endif
