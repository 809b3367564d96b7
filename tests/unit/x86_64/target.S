/* target.S - functions for test_detour_commit to patch, alone on their pages. */

    .text
    .balign 4096

/* long target(long x): x + 1. The site is behind the landing pad. */
    .globl  target, target_site, target_stub
    .type   target, @function
target:
    endbr64
target_site:
    pushq   %rbx
    movq    %rdi, %rbx
    leaq    1(%rbx), %rax
    popq    %rbx
    ret
    .size   target, . - target

/* It begins with a comparison, as PyUnstable_WritePerfMapEntry does in CPython 3.12. */
    .globl  comparing
    .type   comparing, @function
comparing:
    cmpq    $0, target(%rip)
    leaq    1(%rdi), %rax
    ret
    .size   comparing, . - comparing

/* The targets of the jump; in front of the second one a push is undone. */
    .balign 16
    .globl  target_undoing_stub
    .type   target_undoing_stub, @function
target_undoing_stub:
    leaq    8(%rsp), %rsp
    .size   target_undoing_stub, . - target_undoing_stub
    .type   target_stub, @function
target_stub:
    leaq    1000(%rdi), %rax
    ret
    .size   target_stub, . - target_stub

/* Two of the five bytes to be written are on the next page. */
    .balign 4096
    .skip   4093
    .globl  crossing, crossing_site
    .type   crossing, @function
crossing:
crossing_site: /* the same address as data: compilers assume that functions are aligned */
    leaq    1(%rdi), %rax
    nop
    ret
    .size   crossing, . - crossing

    .balign 4096
    .section .note.GNU-stack, "", @progbits
