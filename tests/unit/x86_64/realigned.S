/* realigned.S - frames whose CFA is kept in memory, as GCC makes them in functions that realign
 * their stack, for test_walk.c. All have the type void (*)(void (*callback)(void)). */

    .text
/* call_aligned(function, callback): one call site, with the stack pointer at a multiple of 32. */
    .globl  call_aligned
    .type   call_aligned, @function
call_aligned:
    .cfi_startproc
    pushq   %rbp
    .cfi_def_cfa_offset 16
    .cfi_offset rbp, -16
    movq    %rsp, %rbp
    .cfi_def_cfa_register rbp
    andq    $-32, %rsp
    movq    %rdi, %rax
    movq    %rsi, %rdi
    call    *%rax
    leave
    .cfi_def_cfa rsp, 8
    .cfi_restore rbp
    ret
    .cfi_endproc
    .size   call_aligned, . - call_aligned

    .globl  realigned
    .type   realigned, @function
realigned:
    .cfi_startproc
    leaq    8(%rsp), %r10
    .cfi_def_cfa r10, 0
    andq    $-32, %rsp
    pushq   -8(%r10)
    pushq   %rbp
    movq    %rsp, %rbp
    .cfi_escape 0x10, 6, 2, 0x76, 0         /* DW_CFA_expression: rbp at DW_OP_breg6 0 */
    pushq   %r10
    .cfi_escape 0x0f, 3, 0x76, 0x78, 0x06   /* CFA: DW_OP_breg6 -8, DW_OP_deref */
    subq    $8, %rsp
    call    *%rdi
    addq    $8, %rsp
    popq    %r10
    .cfi_def_cfa r10, 0
    popq    %rbp
    .cfi_restore rbp
    leaq    -8(%r10), %rsp
    .cfi_def_cfa rsp, 8
    ret
    .cfi_endproc
    .size   realigned, . - realigned

/* The same one a frame further in: the realigned stack pointer is where it would be without. */
    .globl  through_another
    .type   through_another, @function
through_another:
    .cfi_startproc
    subq    $8, %rsp
    .cfi_def_cfa_offset 16
    call    realigned
    addq    $8, %rsp
    .cfi_def_cfa_offset 8
    ret
    .cfi_endproc
    .size   through_another, . - through_another

    .section .note.GNU-stack, "", @progbits
