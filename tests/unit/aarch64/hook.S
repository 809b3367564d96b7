/* hook.S - calls a hook as an interpreter does, with a different value in every register, and is
 * the hook's target, which stores the registers.
 *
 * struct registers of hook_registers.h: x0 to x29, sp, unused, v0 to v31. x18 is the platform's: it is
 * stored, and not set. */

#define X(n) ((n) * 8)
#define SP X(30)
#define V(n) (256 + (n) * 16)
#define SIZE V(32)

/* Numbers of registers. */
#define TO_15       0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
#define FROM_19     19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29
#define ALL_VECTORS TO_15, 16, 17, 18, FROM_19, 30, 31

    .text

/* uintptr_t hook_call(void (*hook)(void), struct registers *before): loads all registers but sp and
 * x18, calls, and returns what the evaluator has returned. Ends the process if the callee has changed a
 * register that is its caller's. */
    .globl  hook_call
    .type   hook_call, @function
hook_call:
    .cfi_startproc
    stp     x29, x30, [sp, #-192]!
    .cfi_def_cfa_offset 192
    .cfi_offset x29, -192
    .cfi_offset x30, -184
    stp     x19, x20, [sp, #16]
    stp     x21, x22, [sp, #32]
    stp     x23, x24, [sp, #48]
    stp     x25, x26, [sp, #64]
    stp     x27, x28, [sp, #80]
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    stp     x0, x1, [sp, #160]
    str     x18, [x1, #X(18)]
    mov     x30, x1
    add     x17, x1, #V(0)
    .irp n, ALL_VECTORS
    ldr     q\n, [x17], #16
    .endr
    .irp n, TO_15, 16, 17, FROM_19
    ldr     x\n, [x30, #X(\n)]
    .endr
    ldr     x30, [sp, #160]
    blr     x30
    .globl  hook_return
hook_return:
    ldr     x17, [sp, #168]
    .irp n, FROM_19
    ldr     x16, [x17, #X(\n)]
    cmp     x16, x\n
    b.ne    1f
    .endr
    ldp     x19, x20, [sp, #16]
    ldp     x21, x22, [sp, #32]
    ldp     x23, x24, [sp, #48]
    ldp     x25, x26, [sp, #64]
    ldp     x27, x28, [sp, #80]
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    ldp     x29, x30, [sp], #192
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    ret
1:  udf     #0
    .cfi_endproc
    .size   hook_call, . - hook_call

/* The entry of an evaluator whose first instruction stays in front of the jump: jumps to hook_entry. */
    .globl  hook_kept
    .type   hook_kept, @function
hook_kept:
    .cfi_startproc
    hint    #25                 /* paciasp */
    .cfi_negate_ra_state
    adrp    x16, hook_entry
    ldr     x16, [x16, :lo12:hook_entry]
    br      x16
    .cfi_endproc
    .size   hook_kept, . - hook_kept

/* The two possible targets, a trampoline and the plain evaluator. Each returns its own address. */
    .macro arrival name
    .globl  \name
    .type   \name, @function
    .balign 16
\name:
    .cfi_startproc
    hint    #34                 /* bti c */
    str     x16, [sp, #-16]!
    .cfi_def_cfa_offset 16
    adrp    x16, hook_arrived
    add     x16, x16, :lo12:hook_arrived
    .irp n, TO_15, 17, 18, FROM_19
    str     x\n, [x16, #X(\n)]
    .endr
    ldr     x17, [sp], #16
    .cfi_def_cfa_offset 0
    str     x17, [x16, #X(16)]
    mov     x17, sp
    str     x17, [x16, #SP]
    add     x17, x16, #V(0)
    .irp n, ALL_VECTORS
    str     q\n, [x17], #16
    .endr
    adrp    x16, hook_arrived_from
    str     x30, [x16, :lo12:hook_arrived_from]
    adrp    x0, \name
    add     x0, x0, :lo12:\name
    ret
    .cfi_endproc
    .size   \name, . - \name
    .endm

    arrival hook_slot
    arrival hook_plain

    .bss
    .balign 16
    .globl  hook_arrived, hook_arrived_from, hook_entry
hook_arrived:
    .zero   SIZE
hook_arrived_from:
    .zero   8
hook_entry:
    .zero   8

    .section .note.GNU-stack, "", @progbits
