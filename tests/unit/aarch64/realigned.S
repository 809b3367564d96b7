/* realigned.S - frames that realign their stack, for test_walk.c, as GCC makes them here: the CFA is in x29.
 * All have the type void (*)(void (*callback)(void)). */

    .macro open_frame
    stp     x29, x30, [sp, #-16]!
    .cfi_def_cfa_offset 16
    .cfi_offset x29, -16
    .cfi_offset x30, -8
    mov     x29, sp
    .cfi_def_cfa_register x29
    .endm

    .macro close_frame
    mov     sp, x29
    .cfi_def_cfa_register sp
    ldp     x29, x30, [sp], #16
    .cfi_def_cfa_offset 0
    .cfi_restore x29
    .cfi_restore x30
    ret
    .endm

    .text
/* call_aligned(function, callback): one call site, with the stack pointer at a multiple of 32. */
    .globl  call_aligned
    .type   call_aligned, @function
call_aligned:
    .cfi_startproc
    open_frame
    and     x9, x29, #-32
    mov     sp, x9
    mov     x9, x0
    mov     x0, x1
    blr     x9
    close_frame
    .cfi_endproc
    .size   call_aligned, . - call_aligned

    .globl  realigned
    .type   realigned, @function
realigned:
    .cfi_startproc
    open_frame
    sub     x9, x29, #32
    and     x9, x9, #-32
    mov     sp, x9
    blr     x0
    close_frame
    .cfi_endproc
    .size   realigned, . - realigned

/* The same one a frame further in: the realigned stack pointer is where it would be without. */
    .globl  through_another
    .type   through_another, @function
through_another:
    .cfi_startproc
    open_frame
    bl      realigned
    close_frame
    .cfi_endproc
    .size   through_another, . - through_another

    .section .note.GNU-stack, "", @progbits
