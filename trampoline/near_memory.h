/* near_memory.h - finds a free page that a jump from a given address reaches. */
#ifndef PYPERF_NEAR_MEMORY_H
#define PYPERF_NEAR_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trampoline/base/failure.h"

/* Finds `length` free bytes, rounded up to whole pages, in /proc/self/maps, all within reach of a
 * jump from `site`, and reserves them with PROT_NONE: the caller replaces them with MAP_FIXED, or
 * releases them with munmap. Returns the address; 0 with `why` when there are none. Keeps errno. */
uintptr_t near_memory_reserve(uintptr_t site, size_t length, struct failure *why);

/* Reserves these bytes, rounded up to whole pages, if all of them are free. `address` is the
 * beginning of a page. Changes errno. */
bool near_memory_reserve_at(uintptr_t address, size_t length);

/* The search alone, over the text of a maps file (proc(5)); 0 when there is no such gap. */
uintptr_t near_memory_find_in(const char *maps, uintptr_t site, size_t length);

#endif
