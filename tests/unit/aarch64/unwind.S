/* unwind.S - a caller with known registers, and the middle of an evaluator, for unwinding through
 * the code between the two. */

    .data
    .balign 8
/* In the order of UNWIND_REGISTERS: x19 to x23, x29. */
    .globl  unwind_known, unwind_sp, unwind_callee
unwind_known:
    .quad   0x1919191919191919, 0x2020202020202020, 0x2121212121212121
    .quad   0x2222222222222222, 0x2323232323232323, 0x2929292929292929
/* The caller's stack pointer at its call. */
unwind_sp:
    .quad   0
/* What unwind_continue calls. */
unwind_callee:
    .quad   0

    .text
/* long unwind_call(evaluator *target, long unused): target(1, 2, 3). */
    .globl  unwind_call, unwind_return
    .type   unwind_call, @function
unwind_call:
    .cfi_startproc
    hint    #34                 /* bti c */
    stp     x29, x30, [sp, #-64]!
    .cfi_def_cfa_offset 64
    .cfi_offset x29, -64
    .cfi_offset x30, -56
    stp     x19, x20, [sp, #16]
    .cfi_offset x19, -48
    .cfi_offset x20, -40
    stp     x21, x22, [sp, #32]
    .cfi_offset x21, -32
    .cfi_offset x22, -24
    str     x23, [sp, #48]
    .cfi_offset x23, -16
    mov     x9, x0
    adrp    x10, unwind_known
    add     x10, x10, :lo12:unwind_known
    ldp     x19, x20, [x10]
    ldp     x21, x22, [x10, #16]
    ldp     x23, x29, [x10, #32]
    adrp    x10, unwind_sp
    mov     x11, sp
    str     x11, [x10, :lo12:unwind_sp]
    mov     x0, #1
    mov     x1, #2
    mov     x2, #3
    blr     x9
unwind_return:
    ldp     x19, x20, [sp, #16]
    .cfi_restore x19
    .cfi_restore x20
    ldp     x21, x22, [sp, #32]
    .cfi_restore x21
    .cfi_restore x22
    ldr     x23, [sp, #48]
    .cfi_restore x23
    ldp     x29, x30, [sp], #64
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    ret
    .cfi_endproc
    .size   unwind_call, . - unwind_call

/* The target of the relocated prologue of unwind.c, which has stored x29, x30, x19 and x20 in 48 bytes. */
    .globl  unwind_continue
    .type   unwind_continue, @function
unwind_continue:
    .cfi_startproc
    .cfi_def_cfa_offset 48
    .cfi_offset x29, -48
    .cfi_offset x30, -40
    .cfi_offset x19, -32
    .cfi_offset x20, -24
    hint    #34                 /* bti c */
    mov     x29, sp
    mov     x19, #0
    mov     x20, #0
    adrp    x9, unwind_callee
    ldr     x9, [x9, :lo12:unwind_callee]
    blr     x9
    ldp     x19, x20, [sp, #16]
    .cfi_restore x19
    .cfi_restore x20
    ldp     x29, x30, [sp], #48
    .cfi_restore x29
    .cfi_restore x30
    .cfi_def_cfa_offset 0
    ret
    .cfi_endproc
    .size   unwind_continue, . - unwind_continue

    .section .note.GNU-stack, "", @progbits
