/* switches.h - whether the user asked for profiling, by CPython's own rules
 * (PYTHONPERFSUPPORT: Doc/using/cmdline.rst and Python/initconfig.c of 3.12). */
#ifndef PYPERF_SWITCHES_H
#define PYPERF_SWITCHES_H

#include <stdbool.h>

struct python;

/* Before the interpreter runs: whether any switch could turn profiling on. False means that there
 * is nothing to do in this process, ever. */
bool switches_may_be_on(void);

/* In the first frame: as the interpreter itself has parsed its command line, with -E and -I. */
bool switches_are_on(const struct python *python);

/* A value as CPython reads it: strtol in base 10 over the whole string, within int, not zero. NULL
 * is off. */
bool switches_value_is_on(const char *value);

#endif
