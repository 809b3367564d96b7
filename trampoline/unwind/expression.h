/* expression.h - DWARF expressions of call frame instructions: those of linkers for .plt, of GCC
 * for functions that realign their stack, and of our trampolines. */
#ifndef PYPERF_UNWIND_EXPRESSION_H
#define PYPERF_UNWIND_EXPRESSION_H

#include <stdbool.h>
#include <stdint.h>

/* The registers of a frame. In all frames but the innermost `pc` is a return address. */
struct unwind_registers {
    uintptr_t pc, sp, fp, base;
};

/* Evaluates the expression in the block at `block` (its length first); with `cfa` on the stack, if
 * `has_cfa`. *from_memory becomes true if it has read memory. False for an operation that is not
 * known or memory that cannot be read. Changes errno; no allocation, no lock. */
bool unwind_expression(uintptr_t block, const struct unwind_registers *registers, bool has_cfa,
                       uintptr_t cfa, uintptr_t *result, bool *from_memory);

#endif
