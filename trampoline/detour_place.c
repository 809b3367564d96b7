#include <errno.h>
#include <string.h>

#include "arch.h"
#include "trampoline/code_memory.h"
#include "trampoline/detour.h"

/* The target of stub i is the i-th word from the end of the page. */
enum {
    LAST_CONSTANT = DETOUR_PAGE_SIZE - 8,
    FIRST_CONSTANT = LAST_CONSTANT - 8 * (DETOUR_STUBS - 1)
};

_Static_assert((int)DETOUR_STUB_OFFSET + (int)ARCH_JUMP_SIZE <= (int)DETOUR_PROLOGUE_OFFSET,
               "stub");
_Static_assert((int)DETOUR_PROLOGUE_OFFSET + ARCH_LANDING_PAD_SIZE + (int)DETOUR_MAX_RELOCATED <=
                   (int)DETOUR_OTHER_STUBS_OFFSET,
               "prologue");
_Static_assert((int)DETOUR_OTHER_STUBS_OFFSET + DETOUR_STUBS * DETOUR_STUB_SIZE <=
                       (int)FIRST_CONSTANT &&
                   (int)ARCH_UNDO_SIZE + (int)ARCH_JUMP_SIZE <= (int)DETOUR_STUB_SIZE,
               "other stubs");

bool detour_place(const struct detour_plan *plan, uintptr_t page, const uintptr_t *targets,
                  size_t count, struct failure *why)
{
    int saved = errno;
    uint8_t bytes[DETOUR_PAGE_SIZE] = {0};
    for (size_t i = 0; i < count && i < DETOUR_STUBS; i++) {
        uintptr_t stub = detour_stub(0, i), constant = LAST_CONSTANT - 8 * i;
        memcpy(bytes + stub - ARCH_UNDO_SIZE, arch_undo, ARCH_UNDO_SIZE);
        arch_put_jump(bytes + stub, stub, constant);
        memcpy(bytes + constant, &targets[i], sizeof targets[i]);
    }
    uint8_t *prologue = bytes + DETOUR_PROLOGUE_OFFSET;
    memcpy(prologue, arch_trampoline, ARCH_LANDING_PAD_SIZE);
    memcpy(prologue + ARCH_LANDING_PAD_SIZE, plan->relocated, plan->relocated_length);
    bool placed = code_memory_map(page, bytes, sizeof bytes);
    if (!placed)
        failure_set(why, FAILURE_NEAR_MEMORY, errno, "page at %p", (void *)page);
    errno = saved;
    return placed;
}

bool detour_is_movable(const struct detour_plan *plan)
{
    return plan->relocated_length == plan->length + DETOUR_JUMP_LENGTH &&
           memcmp(plan->relocated, plan->original, plan->length) == 0;
}
