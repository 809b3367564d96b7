/* stack_frame.h - the frame of a function at one instruction, and what the instruction does to it.
 * Part of stack_track.c. */
#ifndef PYPERF_STACK_FRAME_H
#define PYPERF_STACK_FRAME_H

#include <capstone/capstone.h>

#include "stack_track.h"

/* All distances are from the CFA down. */
struct stack_frame {
    int32_t stack;              /* of the stack pointer; 0: not known */
    int32_t frame;              /* of rbp, if it was made from the stack pointer; otherwise 0 */
    int32_t saved[STACK_SAVED]; /* of the caller's value; 0: not saved */
    uint32_t changed;           /* bits: the register has another value */
};

extern const struct stack_frame stack_frame_of_entry;

/* Applies an instruction that is no branch. False when the CFA is no longer known. */
bool stack_frame_step(struct stack_frame *frame, csh disassembler, const cs_insn *instruction);

/* Whether both have the CFA and the saved registers at the same place. */
bool stack_frame_same_place(const struct stack_frame *one, const struct stack_frame *other);

void stack_frame_describe(const struct stack_frame *frame, struct stack_row *row);

/* Different frames, numbered from 1. */
struct stack_frames {
    struct stack_frame *all;
    uint16_t *numbers; /* a hash table */
    unsigned count;
};

bool stack_frames_open(struct stack_frames *frames);
void stack_frames_close(struct stack_frames *frames);
uint16_t stack_frames_number(struct stack_frames *frames,
                             const struct stack_frame *frame); /* 0: full */
const struct stack_frame *stack_frames_get(const struct stack_frames *frames, uint16_t number);

#endif
