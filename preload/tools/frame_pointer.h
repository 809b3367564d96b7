/* frame_pointer.h - whether machine code makes frames that are linked by frame pointers.
 *
 * Implemented in each folder of trampoline/arch/. For pyperf-inspect alone. */
#ifndef PYPERF_FRAME_POINTER_H
#define PYPERF_FRAME_POINTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FRAME_POINTER_BYTES = 96 }; /* of a function's code that are looked at */

/* False when there is no memory. */
bool frame_pointer_open(void);
void frame_pointer_close(void);

/* Whether the function whose first `size` bytes these are links its frame to its caller's. */
bool frame_pointer_is_made(const uint8_t *bytes, size_t size);

#endif
