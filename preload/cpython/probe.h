/* probe.h - whether the live interpreter agrees with its row of the table (layout.h).
 *
 * A row is an assumption: a distribution may have patched its interpreter. So the first frame of each
 * interpreter makes a code object, a function and a co_extra value through the interpreter's own API
 * and compares what stands at each offset. */
#ifndef PYPERF_PROBE_H
#define PYPERF_PROBE_H

#include <stdbool.h>

#include "trampoline/base/failure.h"

/* Compares python.layout with such objects, and with `frame`, the first one that the interpreter
 * runs. Reads memory that only an unconfirmed offset points to in a way that cannot fault. Called
 * with the interpreter's lock held and without a pending exception; leaves none. False with `why`
 * at the first field that is somewhere else. */
bool probe_layout(const void *frame, struct failure *why);

#endif
