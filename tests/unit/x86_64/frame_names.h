/* frame_names.h - readelf's names for the registers that trampoline/unwind follows, and its cell for the
 * return address at a function's entry. */
#ifndef PYPERF_TEST_FRAME_NAMES_H
#define PYPERF_TEST_FRAME_NAMES_H

#define FRAME_STACK    "rsp"
#define FRAME_POINTER  "rbp"
#define FRAME_BASE     "rbx"
#define FRAME_AT_ENTRY "c-8"
enum { FRAME_IN_REGISTER = 0 }; /* the return address at an entry */

#endif
