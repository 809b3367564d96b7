/* eh_frame.h - rows of stack_track.h as .eh_frame and .eh_frame_hdr (LSB Core Specification 5.0, 10.6).
 * For pyperf-unwind. */
#ifndef PYPERF_EH_FRAME_H
#define PYPERF_EH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stack_track.h"

/* Bytes that grow; `failed` is set when there was no memory. */
struct bytes {
    uint8_t *at;
    size_t size, room;
    bool failed;
};

void bytes_put(struct bytes *bytes, const void *more, size_t size);
void bytes_align(struct bytes *bytes, size_t alignment, uint8_t filling);

/* An .eh_frame of all functions, to be at that address, and a table of them: pairs of 64-bit addresses,
 * sorted, of the function and of its entry. */
void eh_frame_put(struct bytes *section, struct bytes *table, uint64_t address,
                  const struct stack_track *track, uint64_t code);

/* The .eh_frame_hdr of that table. */
void eh_frame_header_put(struct bytes *section, uint64_t address, uint64_t frames,
                         const struct bytes *table);

#endif
