/* stack_track.h - where a function's caller is, at each instruction of code without unwind data.
 *
 * Each function is followed from its first instruction, where the canonical frame address (CFA) is
 * rsp + 8 (System V psABI, 3.2.2), along all jumps to where it ends. Instructions that move the stack
 * pointer, save a register that belongs to the caller, or give it back make a new row. What cannot be
 * followed gets no row: jumps through registers other than those of a compiler's jump table, a stack
 * pointer that a register was added to, instructions that two paths reach with different frames.
 *
 * Every folder of trampoline/arch/ may have this file. For pyperf-unwind alone. */
#ifndef PYPERF_STACK_TRACK_H
#define PYPERF_STACK_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STACK_SAVED = 6 }; /* registers that belong to the caller: rbx, rbp, r12 to r15 */

/* Their numbers, and rsp's, in DWARF (System V psABI, 3.6.2). */
extern const uint8_t stack_saved_numbers[STACK_SAVED];
enum { STACK_POINTER_NUMBER = 7, STACK_FRAME_NUMBER = 6 };

struct stack_row {
    uint64_t address; /* the row is for instructions from here, */
    uint64_t end;     /* and to here, if no other row begins before */
    bool by_frame;    /* CFA = rbp + offset; otherwise rsp + offset */
    int32_t offset;
    int32_t saved[STACK_SAVED]; /* at CFA - saved; 0: the register has the caller's value still */
    bool lost[STACK_SAVED];     /* it has another value, and the caller's is nowhere */
};

struct stack_code {
    const uint8_t *bytes; /* of the instructions */
    uint64_t start, size;
    /* Reads constants, for jump tables; returns false if there are none. */
    bool (*read)(void *context, uint64_t address, void *bytes, size_t size);
    void *context;
};

struct stack_track;

/* NULL when there is no memory. */
struct stack_track *stack_track_open(const struct stack_code *code);
void stack_track_close(struct stack_track *track);

/* A function begins here: named by a symbol, or by a pointer to it. */
void stack_track_function(struct stack_track *track, uint64_t address);

/* Follows all functions, and those that they call. False when there is no memory. */
bool stack_track_run(struct stack_track *track);

/* The row at this address or the first one behind it; false behind the last. Rows of instructions
 * that follow each other with the same frame are one. */
bool stack_track_row(const struct stack_track *track, uint64_t address, struct stack_row *row);

/* Whether a function begins here. */
bool stack_track_is_function(const struct stack_track *track, uint64_t address);

#endif
