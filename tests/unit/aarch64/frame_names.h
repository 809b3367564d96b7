/* frame_names.h - readelf's names for the registers that trampoline/unwind follows, and its cell for the
 * return address at a function's entry: it writes u also for a
 * register that no row mentions. */
#ifndef PYPERF_TEST_FRAME_NAMES_H
#define PYPERF_TEST_FRAME_NAMES_H

#define FRAME_STACK    "sp"
#define FRAME_POINTER  "x29"
#define FRAME_BASE     "ra"
#define FRAME_AT_ENTRY "u"
enum { FRAME_IN_REGISTER = 1 }; /* the return address at an entry */

#endif
