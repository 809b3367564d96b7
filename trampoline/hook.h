/* hook.h - from the frame evaluator's entry to a frame's trampoline (arch/<cpu>/hook.S).
 *
 * Runs on every frame of every thread, always under the lock of its interpreter (from
 * 3.12 on there may be one for each). */
#ifndef PYPERF_HOOK_H
#define PYPERF_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "trampoline/hook_variants.h"

/* A code object and what would stand in its co_extra. Its entry is the one whose number is in the
 * lowest HOOK_CODE_BITS of its address above HOOK_CODE_SHIFT. */
struct hook_code {
    uintptr_t code; /* 0: none */
    uint64_t value;
};
enum {
    HOOK_CODES = 1 << HOOK_CODE_BITS,
    HOOK_CODES_MASK = (HOOK_CODES - 1) << HOOK_CODE_SIZE_BITS, /* of an entry's place in bytes */
};

/* What the assembly reads. `tag` is written under the interpreter's lock. */
struct hook_state {
    uint64_t tag;  /* what the high bits of a value must be to hold a trampoline: HOOK_TAG(n) */
    uint64_t mask; /* those bits */
    /* Where code objects have no co_extra: HOOK_CODES of them. At first one that stays empty. */
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

/* The tags. A value in co_extra is HOOK_TAG(n) | address: the bits that no user address has. Tags are
 * below HOOK_TAGS; the last one is not used, because small negative numbers have it. */
#define HOOK_ADDRESS_BITS ARCH_ADDRESS_BITS
#define HOOK_TAG(n)       ((uint64_t)(n) << HOOK_ADDRESS_BITS)
#define HOOK_ADDRESS(v)   ((v) & (HOOK_TAG(1) - 1))
#define HOOK_TAG_OF(v)    ((uint32_t)((v) >> HOOK_ADDRESS_BITS))
#define HOOK_TAGS         ((1 << (64 - HOOK_ADDRESS_BITS)) - 1)

/* Where the hooks that look at the stack pointer do not ask hook_resolve: [floor, floor + size). Empty
 * in a new thread, so that C gets to see each thread once. */
struct hook_stack {
    uintptr_t floor;
    size_t size;
};
extern _Thread_local struct hook_stack hook_stack __attribute__((tls_model("initial-exec")));

_Static_assert(offsetof(struct hook_stack, floor) == 0, "hook.S: STACK_FLOOR");
_Static_assert(offsetof(struct hook_stack, size) == 8, "hook.S: STACK_SIZE");

/* A frame evaluator for each way to co_extra, not to be called from C. The slow one calls
 * hook_resolve on each frame, the fast one only where the first value of co_extra is no trampoline. */
struct hook {
    void (*fast)(void), (*slow)(void);
    uint8_t argument, frame_code, code_extra;
    bool indirect, floor, tagged;
};

/* NULL when there is none for this way; see hook_variants.h. */
const struct hook *hook_find(unsigned argument, unsigned frame_code, unsigned code_extra,
                             bool indirect, bool floor, bool tagged);

/* Implemented above (preload/): the address to go on at for this frame: a trampoline, or the plain
 * evaluator. Called without a valid trampoline in co_extra. Must keep errno and the pending exception. */
uintptr_t hook_resolve(void *frame);

#endif
