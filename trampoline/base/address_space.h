/* address_space.h - a limit of the address space (RLIMIT_AS, ulimit -v). */
#ifndef PYPERF_ADDRESS_SPACE_H
#define PYPERF_ADDRESS_SPACE_H

#include <stdbool.h>

#include "trampoline/base/failure.h"

bool address_space_is_limited(void);

/* Whether the program keeps enough if we map an image or a library: a multiple of their size. True
 * without a limit. Changes errno. */
bool address_space_is_left(struct failure *why);

#endif
