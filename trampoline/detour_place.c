#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "arch.h"
#include "detour.h"

enum { HOOK_CONSTANT = DETOUR_PAGE_SIZE - 8 };

_Static_assert((int)DETOUR_STUB_OFFSET + (int)ARCH_JUMP_SIZE <= (int)DETOUR_HOME_OFFSET, "stub");
_Static_assert((int)DETOUR_HOME_OFFSET + (int)DETOUR_MAX_RELOCATED <= (int)HOOK_CONSTANT, "home");

bool detour_place(const struct detour_plan *plan, uintptr_t page, uintptr_t hook,
                  struct failure *why)
{
    int saved = errno;
    uint8_t *bytes = (uint8_t *)page;
    bool placed = mmap(bytes, DETOUR_PAGE_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == bytes;
    if (placed) {
        arch_put_jump(bytes + DETOUR_STUB_OFFSET, DETOUR_STUB_OFFSET, HOOK_CONSTANT);
        memcpy(bytes + DETOUR_HOME_OFFSET, plan->relocated, plan->relocated_length);
        memcpy(bytes + HOOK_CONSTANT, &hook, sizeof hook);
    }
    if (!placed || mprotect(bytes, DETOUR_PAGE_SIZE, PROT_READ | PROT_EXEC) != 0)
        placed = failure_set(why, FAILURE_NEAR_MEMORY, errno, "page at %p", (void *)page);
    errno = saved;
    return placed;
}

bool detour_is_movable(const struct detour_plan *plan)
{
    return plan->relocated_length == plan->length + DETOUR_JUMP_LENGTH &&
           memcmp(plan->relocated, plan->original, plan->length) == 0;
}
