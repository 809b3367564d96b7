/* linked_frame.h - whether a function makes a frame that x29 links to its caller's (AAPCS64, 6.4.6): it
 * stores x29 and x30 together, x29 at the lower address, and makes x29 point there.
 *
 *     stp x29, x30, [sp, -352]!            sub sp, sp, 0x2d0
 *     mov x29, sp                          stp x29, x30, [sp, 0x270]
 *                                          add x29, sp, 0x270               */
#ifndef PYPERF_LINKED_FRAME_H
#define PYPERF_LINKED_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Looks at as many words as are there. A compiler may put an early exit before the frame is made, and
 * other instructions between the two. */
static inline bool linked_frame_is_made(const uint8_t *code, size_t size)
{
    bool stored = false;
    for (size_t at = 0; at + 4 <= size; at += 4) {
        uint32_t word;
        memcpy(&word, code + at, sizeof word);
        if ((word & 0xfe407fff) == 0xa8007bfd) /* stp x29, x30, at sp + n: Arm ARM, C6.2, STP */
            stored = true;
        else if ((word & 0xff8003ff) == 0x910003fd) /* add x29, sp, n, or mov x29, sp */
            return stored;
        else if ((word & 0x7c000000) == 0x14000000) /* b, bl */
            return false;
    }
    return false;
}

#endif
