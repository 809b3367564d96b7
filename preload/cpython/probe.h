/* probe.h - compares the live interpreter with its row of the table (layout.h).
 *
 * A row is an assumption: a distribution may have patched its interpreter. So in the first frame of
 * each interpreter a code object, a function and a co_extra value are made through the
 * interpreter's own API, and the value at each offset is compared. */
#ifndef PYPERF_PROBE_H
#define PYPERF_PROBE_H

#include <stdbool.h>

#include "trampoline/base/failure.h"

/* Compares python.layout with such objects, and with `frame`, the first one that the interpreter
 * runs. Reads memory at unconfirmed offsets in a way that cannot fault. Called with the
 * interpreter's lock held and without a pending exception; leaves none. False with `why` for the
 * first field that differs. */
bool probe_layout(const void *frame, struct failure *why);

#endif
