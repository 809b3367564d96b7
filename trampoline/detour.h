/* detour.h - a jump at the entry of a function in running text: prepare, commit, revert.
 *
 *   before                          after
 *   entry: [endbr64]                entry: [endbr64]
 *          push %r15                       push %r15       stays
 *          push %r14                site:  jmp stub        (DETOUR_JUMP_LENGTH bytes)
 *          push %r13                       (rest of a whole instruction, never executed)
 *          push %r12                back:  ...             (untouched)
 *   back:  ...                      undo:  lea 8(%rsp), %rsp
 *                                   stub:  ...
 *                                   prologue:  endbr64     for indirect calls
 *                                              push %r15   the displaced instructions, adjusted
 *                                              push %r14   for their new address
 *                                              push %r13
 *                                              push %r12
 *                                              jmp back
 *
 * A caller of the function reaches `stub`; a call of `prologue` runs the original function. If the
 * hook itself is within reach of the jump, the jump leads there, and the stub is not used. An
 * `endbr64` at the entry stays in place: with CET every indirect call must land on one.
 *
 * So does the first instruction, if it is a push; it is undone in front of the stub. (In a function that
 * is replaced, a comparison stays, too, because that changes nothing but flags.) A uprobe (bpftrace,
 * perf probe) on the entry, while the jump is there, is an int3 over the first byte. The kernel executes
 * the first instruction of the *file* elsewhere and continues behind it (Linux, kernel/events/uprobes.c):
 * that must be where the jump begins, not its middle.
 *
 * Preparing only reads, and refuses code that cannot be displaced. It needs capstone and is
 * therefore part of libpyperf-plan.so, which is unloaded when the plan is made; the plan is plain
 * data. Placing (detour_place.c), committing and reverting (detour_commit.c) are part of
 * libpyperf.so. */
#ifndef PYPERF_DETOUR_H
#define PYPERF_DETOUR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "trampoline/base/failure.h"

enum {
    DETOUR_JUMP_LENGTH = ARCH_DETOUR_LENGTH,
    DETOUR_MAX_DISPLACED = ARCH_MAX_DISPLACED,
    DETOUR_MAX_RELOCATED = ARCH_MAX_RELOCATED, /* with the jump back */
    DETOUR_MAX_UNWIND = 64,
};

struct detour_plan {
    uintptr_t site; /* first byte to be replaced */
    size_t kept;    /* length of the instruction in front of it that stays */
    size_t length;  /* length of the displaced instructions and that one */
    uint8_t original[DETOUR_MAX_DISPLACED]; /* the bytes of that one and the displaced bytes */
    uint8_t jump[DETOUR_JUMP_LENGTH];       /* the bytes that replace those from the site on */
    uintptr_t prologue;                     /* a landing pad, and behind it the relocated code */
    size_t relocated_length;
    uint8_t relocated[DETOUR_MAX_RELOCATED];
    size_t unwind_length; /* call frame instructions for the relocated code, after those of a CIE */
    uint8_t unwind[DETOUR_MAX_UNWIND];
    /* Only a direct jump may lead into the middle of the function (AArch64 with guarded pages), so
     * the image's copy of the instructions jumps to the end of the copy at `prologue`, which has
     * one. */
    bool needs_direct_jump;
    bool unlinked; /* the function makes no frame that frame pointers link */
};

/* Plans a detour of the function whose `size` bytes of code are readable at `code` and run at
 * address `entry` (in a live process the two are the same place). The jump will lead to `stub`, or, if
 * an instruction is kept, to the arch_undo in front of it; a call of `prologue` will run the original
 * function. Both addresses are final and nothing is written there.
 *
 * Refused, with the instruction's address and text in `why`, when an instruction to be displaced
 * cannot be decoded, cannot run elsewhere (calls, returns, loops, anything that moves the stack
 * pointer other than by push or sub), has an operand out of reach from prologue, or when any direct
 * branch of the function leads back into the displaced bytes behind their first. */
bool detour_prepare(struct detour_plan *plan, const void *code, size_t size, uintptr_t entry,
                    uintptr_t stub, uintptr_t prologue, struct failure *why);

/* Plans a jump to `stub`, as above, that replaces the function: its own code never runs, so there is no
 * prologue. The plan is for commit and revert alone. */
bool detour_prepare_replacement(struct detour_plan *plan, const void *code, size_t size,
                                uintptr_t entry, uintptr_t stub, struct failure *why);

/* The layout of the page near the function that near_memory_reserve has reserved, for the smallest
 * page size. Stub 0 belongs to the detour; others lead to replacements of functions. In front of each
 * stands arch_undo. */
enum {
    DETOUR_PAGE_SIZE = 4096,
    DETOUR_STUB_OFFSET = ARCH_UNDO_SIZE,
    DETOUR_PROLOGUE_OFFSET = 16,
    DETOUR_OTHER_STUBS_OFFSET = DETOUR_PROLOGUE_OFFSET + 128,
    DETOUR_STUB_SIZE = 16,
    DETOUR_STUBS = 8,
};

static inline uintptr_t detour_stub(uintptr_t page, size_t number)
{
    return number == 0 ? page + DETOUR_STUB_OFFSET
                       : page + DETOUR_OTHER_STUBS_OFFSET + (number - 1) * DETOUR_STUB_SIZE +
                             ARCH_UNDO_SIZE;
}

/* Fills that page: at stub i a jump to `targets[i]`, of which there are `count`, at most
 * DETOUR_STUBS; at its prologue the relocated code. It is never writable and executable at once.
 * False with `why` when that is refused. Keeps errno. */
bool detour_place(const struct detour_plan *plan, uintptr_t page, const uintptr_t *targets,
                  size_t count, struct failure *why);

/* Where the function goes on behind the displaced instructions. */
static inline uintptr_t detour_back(const struct detour_plan *plan)
{
    return plan->site - plan->kept + plan->length;
}

/* Whether the displaced instructions run unchanged at any address, followed by a jump to
 * detour_back. */
bool detour_is_movable(const struct detour_plan *plan);

/* Writes the jump. Fails when the bytes at the site are not those of plan->original, or cannot be
 * written; the text is then unchanged. The caller makes sure that no thread is between site and
 * detour_back (for an interpreter: holds its lock, or runs before it exists). Keeps errno. */
bool detour_commit(const struct detour_plan *plan, struct failure *why);

/* Puts the original bytes back; fails when the jump is no longer there. Same rules. Code at `stub`
 * and `prologue` must stay: a thread may still be in it. */
bool detour_revert(const struct detour_plan *plan, struct failure *why);

#endif
