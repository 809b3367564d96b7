/* call_frame.h - the unwind data of the relocated code: call frame instructions, which are added to
 * the plan together with the code. Each call describes the state after the code that
 * plan->relocated holds at that moment. */
#ifndef PYPERF_CALL_FRAME_H
#define PYPERF_CALL_FRAME_H

#include "trampoline/detour.h"

struct call_frame {
    struct detour_plan *plan;
    size_t described;    /* the offset in the relocated code that the instructions have reached */
    uint64_t cfa_offset; /* from the stack pointer */
    uint64_t saved;      /* bits of the registers whose caller's value has a known place */
};

/* The state at a function's entry. */
void call_frame_begin(struct call_frame *frame, struct detour_plan *plan);

/* The functions below return false when the plan has no room, or when DWARF cannot express it. */

/* The stack pointer has moved down by so many bytes. */
bool call_frame_lower(struct call_frame *frame, uint64_t bytes);

/* The caller's value of a register (DWARF number, below 64) has been stored so many bytes above the
 * stack pointer. Only the first value stored is the caller's: later calls for a register do
 * nothing. */
bool call_frame_save(struct call_frame *frame, unsigned reg, uint64_t above);

/* Any other instruction that has no operands. */
bool call_frame_put(struct call_frame *frame, uint8_t instruction);

#endif
