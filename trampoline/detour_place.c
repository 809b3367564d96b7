#include <errno.h>
#include <string.h>

#include "arch.h"
#include "code_memory.h"
#include "detour.h"

enum { HOOK_CONSTANT = DETOUR_PAGE_SIZE - 8 };

_Static_assert((int)DETOUR_STUB_OFFSET + (int)ARCH_JUMP_SIZE <= (int)DETOUR_HOME_OFFSET, "stub");
_Static_assert((int)DETOUR_HOME_OFFSET + (int)DETOUR_MAX_RELOCATED <= (int)HOOK_CONSTANT, "home");

bool detour_place(const struct detour_plan *plan, uintptr_t page, uintptr_t hook,
                  struct failure *why)
{
    int saved = errno;
    uint8_t bytes[DETOUR_PAGE_SIZE] = {0};
    arch_put_jump(bytes + DETOUR_STUB_OFFSET, DETOUR_STUB_OFFSET, HOOK_CONSTANT);
    memcpy(bytes + DETOUR_HOME_OFFSET, plan->relocated, plan->relocated_length);
    memcpy(bytes + HOOK_CONSTANT, &hook, sizeof hook);
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
