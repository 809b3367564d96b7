/* hook.h - from the frame evaluator's entry to a frame's trampoline (arch/<cpu>/hook.S).
 *
 * Runs on every frame of every thread, always under the interpreter's lock. */
#ifndef PYPERF_HOOK_H
#define PYPERF_HOOK_H

#include <stddef.h>
#include <stdint.h>

/* What the assembly reads; in bytes unless said otherwise. Written before the detour is committed,
 * afterwards only `tag`, and that under the interpreter's lock. */
struct hook_offsets {
    int64_t frame_code; /* of the code object's pointer in the frame */
    int64_t code_extra; /* of co_extra in the code object */
    int64_t index;      /* ours in ce_extras */
    uint64_t tag;       /* what the high bits of a value must be to hold a slot: HOOK_TAG(n) */
};
extern struct hook_offsets hook_offsets;

_Static_assert(offsetof(struct hook_offsets, code_extra) == 8, "hook.S: CODE_EXTRA");
_Static_assert(offsetof(struct hook_offsets, index) == 16, "hook.S: INDEX");
_Static_assert(offsetof(struct hook_offsets, tag) == 24, "hook.S: TAG");

/* The tags. A value in co_extra is HOOK_TAG(n) | address. User addresses have 47 bits (without the
 * 57-bit ones, which the kernel gives only to those who ask). */
#define HOOK_ADDRESS_BITS 47
#define HOOK_TAG(n)       ((uint64_t)(n) << HOOK_ADDRESS_BITS)
#define HOOK_ADDRESS(v)   ((v) & (HOOK_TAG(1) - 1))
#define HOOK_TAG_OF(v)    ((uint32_t)((v) >> HOOK_ADDRESS_BITS))

/* Below this address of the stack pointer hook_frame_second_floor asks hook_resolve. All ones in a
 * new thread, so that C gets to see each thread once. */
extern _Thread_local uintptr_t hook_stack_floor __attribute__((tls_model("initial-exec")));

/* Evaluators: the frame is their first or second argument, ce_extras stands in place or behind one
 * pointer more. The _slow one calls hook_resolve on each frame. Not to be called from C. */
void hook_frame_first_indirect(void);
void hook_frame_first(void);
void hook_frame_second(void);
void hook_frame_second_floor(void);
void hook_frame_second_floor_slow(void);

/* Implemented above (preload/): the address to go on at for this frame: a slot, or the plain
 * evaluator. Called without a valid slot in co_extra. Must keep errno and the pending exception. */
uintptr_t hook_resolve(void *frame);

#endif
