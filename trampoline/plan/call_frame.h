/* call_frame.h - the unwind data of the relocated code: call frame instructions, which are put into the
 * plan as the code is. What is said holds from the end of what plan->relocated has at that moment. */
#ifndef PYPERF_CALL_FRAME_H
#define PYPERF_CALL_FRAME_H

#include "trampoline/detour.h"

struct call_frame {
    struct detour_plan *plan;
    size_t described;    /* how much of the relocated code the instructions have passed */
    uint64_t cfa_offset; /* from the stack pointer */
    uint64_t saved;      /* registers of which it is known where the caller's value is */
};

/* As it is at a function's entry. */
void call_frame_begin(struct call_frame *frame, struct detour_plan *plan);

/* The functions below return false when the plan has no room for more, or when it cannot be said. */

/* The stack pointer has moved down by so many bytes. */
bool call_frame_lower(struct call_frame *frame, uint64_t bytes);

/* The caller's value of a register (DWARF number, below 64) has been stored so many bytes above the
 * stack pointer. Only the first value of each is the caller's: says nothing of others. */
bool call_frame_save(struct call_frame *frame, unsigned reg, uint64_t above);

/* Any other instruction that has no operands. */
bool call_frame_put(struct call_frame *frame, uint8_t instruction);

#endif
