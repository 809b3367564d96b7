/* gaps.h - the addresses between a process's mappings. */
#ifndef PYPERF_GAPS_H
#define PYPERF_GAPS_H

#include <stdbool.h>
#include <stdint.h>

typedef void gaps_visitor(void *context, uintptr_t start, uintptr_t end);

/* Calls `visit` for each gap of /proc/self/maps, in ascending order. False, with errno, when the file
 * cannot be read. */
bool gaps_here(gaps_visitor *visit, void *context);

/* The same for the text of a maps file (proc(5)). */
void gaps_in(const char *maps, gaps_visitor *visit, void *context);

#endif
