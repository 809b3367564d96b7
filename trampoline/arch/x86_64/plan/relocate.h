/* relocate.h - what planning a detour needs to know of this CPU's instructions.
 *
 * The same file stands in every folder of trampoline/arch/. Only detour_prepare.c calls it. All
 * functions read only, and fail with the instruction's address and text in `why`. */
#ifndef PYPERF_RELOCATE_H
#define PYPERF_RELOCATE_H

#include "trampoline/detour.h"

/* A function's code behind its landing pad to the function's end: readable at `code`, run at
 * `address`. */
struct relocate_text {
    const uint8_t *code;
    size_t size;
    uintptr_t address;
};

/* How many bytes at a function's entry have to stay the first that are executed, because the jump that
 * takes the place of what follows does not begin with a landing pad: 4 for an endbr64, otherwise 0. */
size_t relocate_landing_pad(const uint8_t *code, size_t size);

/* How many bytes the first instruction has, behind the landing pad, if it can be kept where it is: what
 * stands at arch_undo undoes it. 0 for any other. */
size_t relocate_kept(const uint8_t *code, size_t size);

/* Chooses the instructions at the beginning of `text` that have to go and relocates them; fails
 * with FAILURE_BRANCH_INTO_ENTRY when a direct branch of the function leads to one of their bytes
 * other than the first. pre: plan->kept and plan->prologue are set, plan->site == text->address +
 * plan->kept, the rest of *plan is zero. Fills length, original, relocated (with the jump back at its end; it will stand behind the
 * landing pad at plan->prologue), unwind and needs_direct_jump. */
bool relocate_plan(struct detour_plan *plan, const struct relocate_text *text, struct failure *why);

/* Encodes the jump of a detour's site, which stands at `from` and leads to `to`. */
bool relocate_jump(uint8_t jump[DETOUR_JUMP_LENGTH], uintptr_t from, uintptr_t to,
                   struct failure *why);

#endif
