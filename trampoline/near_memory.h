/* near_memory.h - a free page that a jump from a given place reaches. */
#ifndef PYPERF_NEAR_MEMORY_H
#define PYPERF_NEAR_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trampoline/base/failure.h"

/* Looks in /proc/self/maps for `length` free bytes, and up to the end of a page, all of which are
 * within reach of a jump from `site`, and reserves them: mapped without any access, to be replaced
 * by the caller with MAP_FIXED, or released with munmap. Returns the address; 0 with `why` when
 * there are none. Keeps errno. */
uintptr_t near_memory_reserve(uintptr_t site, size_t length, struct failure *why);

/* Reserves just these and what they leave of the last page, if all of it is free. `address` is the
 * beginning of a page. Changes errno. */
bool near_memory_reserve_at(uintptr_t address, size_t length);

/* The search alone, over the text of a maps file (proc(5)); 0 when there is no such gap. */
uintptr_t near_memory_find_in(const char *maps, uintptr_t site, size_t length);

#endif
