/* eh_frame.h - the unwind rule of one instruction, from an object's .eh_frame in memory (LSB core
 * specification, 10.6; DWARF 4, 6.4). For signal handlers: no allocation, no lock; memory is tested
 * before it is read, so that a damaged or unmapped object gives no rule, and no fault. */
#ifndef PYPERF_UNWIND_EH_FRAME_H
#define PYPERF_UNWIND_EH_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "trampoline/unwind/rule.h"

/* An FDE's functions; a part that a compiler has split off has an FDE of its own. */
struct eh_frame_function {
    uintptr_t begin, end;
    uintptr_t fde;
};

/* Finds the FDE for the code at `pc` by the table of the .eh_frame_hdr at `header`, which lies,
 * like .eh_frame, below `end`. False if there is none. Changes errno. */
bool eh_frame_find(uintptr_t header, uintptr_t end, uintptr_t pc,
                   struct eh_frame_function *function);

/* The rule for the instruction at `pc` of that function. RULE_NONE for what a rule cannot express.
 * Changes errno. */
struct unwind_rule eh_frame_rule(const struct eh_frame_function *function, uintptr_t end,
                                 uintptr_t pc);

#endif
