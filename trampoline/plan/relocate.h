/* relocate.h - what the plan of a detour needs to know of this CPU's instructions.
 *
 * Implemented in each folder of trampoline/arch/. Only detour_prepare.c calls it. The functions
 * only read the text, and fail with the instruction's address and text in `why`. */
#ifndef PYPERF_RELOCATE_H
#define PYPERF_RELOCATE_H

#include "trampoline/detour.h"

/* A function's code behind its landing pad to the function's end: readable at `code`, run at
 * `address`. */
struct relocate_text {
    const uint8_t *code;
    size_t size;
    uintptr_t address;
    size_t pad; /* bytes of the landing pad in front */
};

/* The size of the landing pad at the function's entry, which must stay, because the jump behind it
 * is none: 4 for an endbr64, otherwise 0. */
size_t relocate_landing_pad(const uint8_t *code, size_t size);

/* The size of the first instruction behind the landing pad, if it can stay in front of the jump: it is
 * one that arch_undo undoes. 0 for any other. */
size_t relocate_kept(const uint8_t *code, size_t size);

/* Whether that instruction is a landing pad as well: it must not be displaced. */
bool relocate_must_keep(const uint8_t *code, size_t size);

/* The size of one that changes flags alone, which nobody reads at a function's entry: nothing is to be
 * undone. */
size_t relocate_comparison(const uint8_t *code, size_t size);

/* Whether the function begins by making a frame that frame pointers link. */
bool relocate_is_linked(const uint8_t *code, size_t size);

/* Chooses the instructions at the beginning of `text` that the jump displaces, and relocates them;
 * fails with FAILURE_BRANCH_INTO_ENTRY when a direct branch of the function leads to one of their
 * bytes other than the first. pre: plan->kept and plan->prologue are set, plan->site ==
 * text->address + plan->kept, the rest of *plan is zero. Fills length, original, relocated (with the
 * jump back at its end; it will stand behind the landing pad at plan->prologue), unwind and
 * needs_direct_jump. */
bool relocate_plan(struct detour_plan *plan, const struct relocate_text *text, struct failure *why);

/* Encodes the jump of a detour's site, from `from` to `to`. */
bool relocate_jump(uint8_t jump[DETOUR_JUMP_LENGTH], uintptr_t from, uintptr_t to,
                   struct failure *why);

#endif
