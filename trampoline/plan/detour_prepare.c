/* detour_prepare.c - plans a detour; the CPU-specific steps are in relocate.c.
 *
 *   entry              kept       site                              back
 *     | landing pad      | stays    | displaced                       | the rest of the function
 *     v  (stays)         v          v                                 v
 *     [endbr64]          push %r15; push %r14; push %r13; push %r12   push %rbp; ... ret
 *                        \_________________________________________/   \________________/
 *       1. cut off         2. relocated to prologue                       3. searched for branches that lead
 *                                   jmp stub                                 between kept and back
 *                                   4. replaces the first bytes
 *
 * If that cannot be done with the first instruction kept, it is displaced with the others, unless it is a
 * landing pad as well.
 *
 * Failures due to the code come first, those due to the hook's address last: after
 * FAILURE_JUMP_OUT_OF_REACH the caller knows that a nearer stub would work. */
#include "trampoline/detour.h"

#include <errno.h>
#include <string.h>

#include "trampoline/base/debug.h"
#include "trampoline/plan/disassemble.h"
#include "trampoline/plan/relocate.h"

static void log_plan(const struct detour_plan *plan)
{
    debug_log(detour, 1, "planned: %zu bytes at %#lx go to %#lx", plan->length,
              (unsigned long)plan->site, (unsigned long)plan->prologue);
    if (!debug_is_on(detour, 3))
        return;
    disassemble("original", plan->original, plan->length, plan->site - plan->kept);
    disassemble("relocated", plan->relocated, plan->relocated_length, plan->prologue);
    disassemble("patched", plan->jump, DETOUR_JUMP_LENGTH, plan->site);
}

static bool draw(struct detour_plan *draft, const struct relocate_text *text, size_t kept,
                 uintptr_t stub, uintptr_t prologue, struct failure *why)
{
    *draft = (struct detour_plan){.site = text->address + kept, .kept = kept, .prologue = prologue};
    return relocate_plan(draft, text, why) &&
           relocate_jump(draft->jump, draft->site, kept > 0 ? stub - ARCH_UNDO_SIZE : stub, why);
}

bool detour_prepare(struct detour_plan *plan, const void *code, size_t size, uintptr_t entry,
                    uintptr_t stub, uintptr_t prologue, struct failure *why)
{
    int saved_errno = errno; /* the disassembler allocates */
    size_t pad = relocate_landing_pad(code, size);
    struct relocate_text text = {
        .code = (const uint8_t *)code + pad,
        .size = size - pad,
        .address = entry + pad,
        .pad = pad,
    };
    size_t kept = relocate_kept(text.code, text.size);
    bool must_keep = relocate_must_keep(text.code, text.size);
    struct detour_plan draft;
    bool prepared = kept > 0 && draw(&draft, &text, kept, stub, prologue, must_keep ? why : NULL);
    if (!prepared && !must_keep)
        prepared = draw(&draft, &text, 0, stub, prologue, why);
    if (prepared) {
        draft.unlinked = !relocate_is_linked(text.code, text.size);
        log_plan(&draft);
        *plan = draft;
    }
    errno = saved_errno;
    return prepared;
}

bool detour_prepare_replacement(struct detour_plan *plan, const void *code, size_t size,
                                uintptr_t entry, uintptr_t stub, struct failure *why)
{
    size_t pad = relocate_landing_pad(code, size);
    const uint8_t *first = (const uint8_t *)code + pad;
    size_t kept = relocate_kept(first, size - pad);
    uintptr_t target = kept > 0 ? stub - ARCH_UNDO_SIZE : stub;
    if (kept == 0)
        kept = relocate_comparison(first, size - pad);
    struct detour_plan draft = {
        .site = entry + pad + kept,
        .kept = kept,
        .length = kept + DETOUR_JUMP_LENGTH,
    };
    if (size < pad + draft.length)
        return failure_set(why, FAILURE_TOO_SHORT, 0, "%zu bytes at %p", size, (void *)entry);
    if (arch_is_breakpoint(first))
        return failure_set(why, FAILURE_BREAKPOINT, 0, "%p", (void *)entry);
    if (!relocate_jump(draft.jump, draft.site, target, why))
        return false;
    memcpy(draft.original, first, draft.length);
    *plan = draft;
    return true;
}
