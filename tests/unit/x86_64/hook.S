/* hook.S - calls a hook as an interpreter does, with a different value in every register, and is
 * the hook's target, which stores the registers.
 *
 * struct registers of hook_registers.h: rax rbx rcx rdx rsi rdi rbp rsp r8..r15, xmm0..xmm15. */

#define RAX 0
#define RBX 8
#define RCX 16
#define RDX 24
#define RSI 32
#define RDI 40
#define RBP 48
#define RSP 56
#define R(n) ((n) * 8)
#define XMM(n) (128 + (n) * 16)

    .text

/* uintptr_t hook_call(void (*hook)(void), const struct registers *before): loads all registers but
 * rsp, calls, and returns what the evaluator has returned. Ends the process if the callee has
 * changed a callee-saved register. */
    .globl  hook_call
    .type   hook_call, @function
hook_call:
    .cfi_startproc
    .irp register, rbp, rbx, r12, r13, r14, r15
    pushq   %\register
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \register, 0
    .endr
    subq    $24, %rsp
    .cfi_adjust_cfa_offset 24
    movq    %rdi, (%rsp)
    movq    %rsi, 8(%rsp)
    movq    %rsi, %rax
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups  XMM(\n)(%rax), %xmm\n
    .endr
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    movq    R(\n)(%rax), %r\n
    .endr
    movq    RBX(%rax), %rbx
    movq    RCX(%rax), %rcx
    movq    RDX(%rax), %rdx
    movq    RSI(%rax), %rsi
    movq    RDI(%rax), %rdi
    movq    RBP(%rax), %rbp
    movq    RAX(%rax), %rax
    call    *(%rsp)
    .globl  hook_return
hook_return:
    movq    8(%rsp), %rcx
    cmpq    RBX(%rcx), %rbx
    jne     1f
    cmpq    RBP(%rcx), %rbp
    jne     1f
    .irp n, 12, 13, 14, 15
    cmpq    R(\n)(%rcx), %r\n
    jne     1f
    .endr
    addq    $24, %rsp
    .cfi_adjust_cfa_offset -24
    .irp register, r15, r14, r13, r12, rbx, rbp
    popq    %\register
    .cfi_adjust_cfa_offset -8
    .cfi_restore \register
    .endr
    ret
1:  ud2
    .cfi_endproc
    .size   hook_call, . - hook_call

/* The entry of an evaluator whose first instruction stays in front of the jump: jumps to hook_entry. */
    .globl  hook_kept
    .type   hook_kept, @function
hook_kept:
    .cfi_startproc
    endbr64
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    notrack jmpq *hook_entry(%rip)
    .cfi_endproc
    .size   hook_kept, . - hook_kept

/* The two possible targets, a trampoline and the plain evaluator. Each returns its own address. */
    .macro arrival name
    .globl  \name
    .type   \name, @function
    .balign 16
\name:
    .cfi_startproc
    movq    %rax, hook_arrived+RAX(%rip)
    leaq    hook_arrived(%rip), %rax
    movq    %rbx, RBX(%rax)
    movq    %rcx, RCX(%rax)
    movq    %rdx, RDX(%rax)
    movq    %rsi, RSI(%rax)
    movq    %rdi, RDI(%rax)
    movq    %rbp, RBP(%rax)
    movq    %rsp, RSP(%rax)
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    movq    %r\n, R(\n)(%rax)
    .endr
    .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    movups  %xmm\n, XMM(\n)(%rax)
    .endr
    movq    (%rsp), %rcx
    movq    %rcx, hook_arrived_from(%rip)
    leaq    \name(%rip), %rax
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
    .zero   XMM(16)
hook_arrived_from:
    .zero   8
hook_entry:
    .zero   8

    .section .note.GNU-stack, "", @progbits
