/* hook.S - runs for every frame and jumps to its trampoline (AArch64; x86_64/hook.S says how).
 *
 * The evaluator's arguments are in x0, x1 and w2, the return address is in x30. x9 to x17 are a
 * callee's to clobber (AAPCS64, 6.1.1), and the fast path changes nothing else. It jumps through x16,
 * as a guarded trampoline's `bti c` requires.
 *
 *   frame -- frame_code --> code object -- code_extra --> co_extra
 *                                                           | ce_size
 *                                                           | ce_extras[index]
 *                                                           v
 *                                            tag (16 bits) . address of the trampoline (48 bits) */

#include "arch.h"
#include "properties.inc"
#include "trampoline/hook_variants.h"

#define TAG   0  /* MASK follows */
#define CODES 16 /* CODES_MASK follows */

#define FIRST_VALUE 8 /* behind ce_size */

    .section .data.hook_state, "aw", @progbits
    .globl  hook_state
    .hidden hook_state
    .balign 64
    .type   hook_state, @object
    .size   hook_state, 32
hook_state:
    .quad   0
    .quad   -1 << ARCH_ADDRESS_BITS
    .quad   no_codes
    .quad   0

    .section .bss.no_codes, "aw", @nobits
    .balign 16
    .type   no_codes, @object
    .size   no_codes, 1 << HOOK_CODE_SIZE_BITS
no_codes:
    .zero   1 << HOOK_CODE_SIZE_BITS

    .section .tbss, "awT", @nobits
    .globl  hook_stack
    .hidden hook_stack
    .balign 16
    .type   hook_stack, @object
    .size   hook_stack, 16
hook_stack:
    .zero   16

    .text

#define REGISTER_0 x0
#define REGISTER_1 x1

/* The jump at the entry leads here if it stands behind a `paciasp` that was kept there (detour.h). */
.macro undo_signature
    .cfi_negate_ra_state
    hint    #29 /* autiasp */
    .cfi_negate_ra_state
.endm

.macro landing_pad
    hint    #34 /* bti c */
.endm

.macro hook name, frame, frame_code, code_extra, indirect, floor, tagged
    .globl  \name
    .hidden \name
    .balign 64 /* so that a hook begins a line of the instruction cache */
    .type   \name\()_behind_signature, @function
\name\()_behind_signature:
    .cfi_startproc
    undo_signature
    .size   \name\()_behind_signature, ARCH_UNDO_SIZE
    .type   \name, @function
\name:
    .if . - \name\()_behind_signature != ARCH_UNDO_SIZE
    .error "undo_signature must be exactly ARCH_UNDO_SIZE bytes"
    .endif
    landing_pad
.if \floor
    adrp    x9, :gottprel:hook_stack
    ldr     x9, [x9, :gottprel_lo12:hook_stack]
    mrs     x10, tpidr_el0
    add     x10, x10, x9
    ldp     x9, x10, [x10]      /* floor, size */
    sub     x9, sp, x9
    cmp     x9, x10
    b.hs    \name\()_slow
.endif
    ldr     x9, [\frame, #\frame_code]
.if \tagged
    and     x9, x9, #-4
.endif
    adrp    x11, hook_state
    add     x11, x11, :lo12:hook_state
.if \code_extra == 0
    ldp     x12, x13, [x11, #CODES]
    lsr     x10, x9, #(HOOK_CODE_SHIFT - HOOK_CODE_SIZE_BITS)
    and     x10, x10, x13
    add     x10, x12, x10
    ldp     x12, x13, [x10]     /* code, value */
    cmp     x12, x9
    b.ne    \name\()_slow
    mov     x9, x13
.else
    ldr     x9, [x9, #\code_extra]
    cbz     x9, \name\()_slow
    ldr     x9, [x9, #FIRST_VALUE]
.endif
.if \indirect /* the array is allocated separately, and may be missing */
    cbz     x9, \name\()_slow
    ldr     x9, [x9]
.endif
    ldp     x12, x13, [x11, #TAG]
    eor     x16, x9, x12
    tst     x16, x13
    b.ne    \name\()_slow
    br      x16
    .cfi_endproc
    .size   \name, . - \name

/* Asks C for the trampoline. Also an entry point, for interpreters in which C must see each frame. */
    .globl  \name\()_slow
    .hidden \name\()_slow
    .type   \name\()_slow_behind_signature, @function
\name\()_slow_behind_signature:
    .cfi_startproc
    undo_signature
    .size   \name\()_slow_behind_signature, ARCH_UNDO_SIZE
    .type   \name\()_slow, @function
\name\()_slow:
    landing_pad
    stp     x29, x30, [sp, #-48]!
    .cfi_def_cfa_offset 48
    .cfi_offset 29, -48
    .cfi_offset 30, -40
    mov     x29, sp
    stp     x0, x1, [sp, #16]
    str     x2, [sp, #32]
    mov     x0, \frame
    bl      hook_resolve
    mov     x16, x0
    ldr     x2, [sp, #32]
    ldp     x0, x1, [sp, #16]
    ldp     x29, x30, [sp], #48
    .cfi_def_cfa_offset 0
    .cfi_restore 29
    .cfi_restore 30
    br      x16
    .cfi_endproc
    .size   \name\()_slow, . - \name\()_slow
.endm

#define DEFINE(name, argument, frame_code, code_extra, indirect, floor, tagged) \
    hook name, REGISTER_##argument, frame_code, code_extra, indirect, floor, tagged;
    HOOK_VARIANTS(DEFINE)

    .section .note.GNU-stack, "", @progbits
