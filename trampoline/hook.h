/* hook.h - finds a frame's trampoline, at the frame evaluator's entry (arch/<cpu>/hook.S).
 *
 * Runs on every frame of every thread, always under the lock of its interpreter (from
 * 3.12 on there may be one for each). */
#ifndef PYPERF_HOOK_H
#define PYPERF_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "arch_thread.h"
#include "trampoline/hook_variants.h"

/* A code object and the value that would be in its co_extra. Its index is the HOOK_CODE_BITS bits
 * of its address above the lowest HOOK_CODE_SHIFT. */
struct hook_code {
    uintptr_t code; /* 0: empty */
    uint64_t value;
};
enum {
    HOOK_CODES = 1 << HOOK_CODE_BITS,
    HOOK_CODES_MASK = (HOOK_CODES - 1) << HOOK_CODE_SIZE_BITS, /* of an entry's offset in bytes */
};

/* Read by the assembly. `tag` is written under the interpreter's lock. */
struct hook_state {
    uint64_t tag;  /* the high bits of a value that holds a trampoline: HOOK_TAG(n) */
    uint64_t mask; /* those bits */
    /* Where code objects have no co_extra: an array of HOOK_CODES entries; before it is set, of one
     * entry that stays empty. */
    struct hook_code *codes;
    uint64_t codes_mask; /* HOOK_CODES_MASK, at first 0 */
};
extern struct hook_state hook_state;

_Static_assert(offsetof(struct hook_state, tag) == 0, "hook.S: TAG");
_Static_assert(offsetof(struct hook_state, mask) == 8, "hook.S: MASK");
_Static_assert(offsetof(struct hook_state, codes) == 16, "hook.S: CODES");
_Static_assert(offsetof(struct hook_state, codes_mask) == 24, "hook.S: CODES_MASK");
_Static_assert(offsetof(struct hook_code, code) == 0, "hook.S: compares it");
_Static_assert(offsetof(struct hook_code, value) == 8, "hook.S: CODE_VALUE");
_Static_assert(sizeof(struct hook_code) == 1 << HOOK_CODE_SIZE_BITS, "hook.S: the entry's address");

/* The tags. A value in co_extra is HOOK_TAG(n) | address: the bits that no user address has. Tags
 * are below HOOK_TAGS; the last one is not used, because small negative numbers have it. */
#define HOOK_ADDRESS_BITS ARCH_ADDRESS_BITS
#define HOOK_TAG(n)       ((uint64_t)(n) << HOOK_ADDRESS_BITS)
#define HOOK_ADDRESS(v)   ((v) & (HOOK_TAG(1) - 1))
#define HOOK_TAG_OF(v)    ((uint32_t)((v) >> HOOK_ADDRESS_BITS))
#define HOOK_TAGS         ((1 << (64 - HOOK_ADDRESS_BITS)) - 1)

/* The range of the stack pointer in which the hooks that check it do not call hook_resolve: [floor,
 * floor + size). Empty in a new thread, so that hook_resolve sets it. */
struct hook_stack {
    uintptr_t floor;
    size_t size;
};
ARCH_THREAD_HERE(struct hook_stack, hook_stack)

_Static_assert(offsetof(struct hook_stack, floor) == 0, "hook.S: STACK_FLOOR");
_Static_assert(offsetof(struct hook_stack, size) == 8, "hook.S: STACK_SIZE");

/* A frame evaluator for each way to co_extra, not to be called from C. The slow one calls
 * hook_resolve for each frame, the fast one only if the first value of co_extra is no
 * trampoline. */
struct hook {
    void (*fast)(void), (*slow)(void);
    uint8_t argument, frame_code, code_extra;
    bool indirect, floor, tagged;
};

/* NULL when there is no such variant; see hook_variants.h. */
const struct hook *hook_find(unsigned argument, unsigned frame_code, unsigned code_extra,
                             bool indirect, bool floor, bool tagged);

/* Implemented in preload/: returns the address to jump to for this frame, a trampoline or the plain
 * evaluator. Called when co_extra holds no valid trampoline. Must keep errno and the pending
 * exception. */
uintptr_t hook_resolve(void *frame);

#endif
