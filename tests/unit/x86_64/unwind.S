/* unwind.S - a caller with known registers, and the middle of an evaluator, for unwinding through
 * the code between the two. */

#define KNOWN_RBX 0x1b1b1b1b1b1b1b1b
#define KNOWN_RBP 0x2b2b2b2b2b2b2b2b
#define KNOWN_R12 0x1212121212121212
#define KNOWN_R13 0x1313131313131313
#define KNOWN_R14 0x1414141414141414
#define KNOWN_R15 0x1515151515151515

    .data
    .balign 8
/* In the order of DWARF's register numbers (psABI, figure 3.36): rbx, rbp, r12 to r15. */
    .globl  unwind_known, unwind_sp, unwind_callee
unwind_known:
    .quad   KNOWN_RBX, KNOWN_RBP, KNOWN_R12, KNOWN_R13, KNOWN_R14, KNOWN_R15
/* The caller's stack pointer at its call. */
unwind_sp:
    .quad   0
/* What unwind_continue calls. */
unwind_callee:
    .quad   0

    .text
/* long unwind_call(evaluator *target, long flags): target(1, 2, 3), with the bits of `flags` set in
 * rflags from the call's first instruction on. */
    .globl  unwind_call, unwind_return
    .type   unwind_call, @function
unwind_call:
    .cfi_startproc
    .irp register, rbp, rbx, r12, r13, r14, r15
    pushq   %\register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \register, 0
    .endr
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    movq    %rdi, %rax
    movq    %rsi, %rcx
    movl    $1, %edi
    movl    $2, %esi
    movl    $3, %edx
    movabsq $KNOWN_RBX, %rbx
    movabsq $KNOWN_RBP, %rbp
    movabsq $KNOWN_R12, %r12
    movabsq $KNOWN_R13, %r13
    movabsq $KNOWN_R14, %r14
    movabsq $KNOWN_R15, %r15
    movq    %rsp, unwind_sp(%rip)
    pushfq
    .cfi_adjust_cfa_offset 8
    orq     %rcx, (%rsp)
    popfq
    .cfi_adjust_cfa_offset -8
    call    *%rax
unwind_return:
    pushfq
    .cfi_adjust_cfa_offset 8
    andq    $~0x100, (%rsp)
    popfq
    .cfi_adjust_cfa_offset -8
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    .irp register, r15, r14, r13, r12, rbx, rbp
    popq    %\register
    .cfi_adjust_cfa_offset -8
    .cfi_restore \register
    .endr
    ret
    .cfi_endproc
    .size   unwind_call, . - unwind_call

/* The target of the relocated prologue of test_image_unwind.c, which has pushed r15, 1 and rbp,
 * reserved 0x80 bytes and pushed rbx. */
    .globl  unwind_continue
    .type   unwind_continue, @function
unwind_continue:
    .cfi_startproc
    .cfi_def_cfa_offset 168
    .cfi_offset r15, -16
    .cfi_offset rbp, -32
    .cfi_offset rbx, -168
    subq    $8, %rsp
    .cfi_adjust_cfa_offset 8
    call    *unwind_callee(%rip)
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    addq    $0x80, %rsp
    .cfi_adjust_cfa_offset -0x80
    popq    %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq    %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    ret
    .cfi_endproc
    .size   unwind_continue, . - unwind_continue

    .section .note.GNU-stack, "", @progbits
