/* target.S - functions for test_detour_commit to patch, alone on their pages. */

    .text
    .balign 65536

/* long target(long x): x + 1. The site is behind the landing pad. */
    .globl  target, target_site, target_stub
    .type   target, @function
target:
    hint    #34 /* bti c */
target_site:
    str     x19, [sp, #-16]!
    mov     x19, x0
    add     x0, x19, #1
    ldr     x19, [sp], #16
    ret
    .size   target, . - target

/* It begins with a signature, which stays. */
    .globl  comparing
    .type   comparing, @function
comparing:
    hint    #25 /* paciasp */
    add     x0, x0, #1
    hint    #29 /* autiasp */
    ret
    .size   comparing, . - comparing

/* The targets of the jump; in front of the second one a signature is undone. */
    .balign 16
    .globl  target_undoing_stub
    .type   target_undoing_stub, @function
target_undoing_stub:
    hint    #29 /* autiasp */
    .size   target_undoing_stub, . - target_undoing_stub
    .type   target_stub, @function
target_stub:
    add     x0, x0, #1000
    ret
    .size   target_stub, . - target_stub

/* The last word of a page. */
    .balign 4096
    .skip   4092
    .globl  crossing, crossing_site
    .type   crossing, @function
crossing:
crossing_site:
    add     x0, x0, #1
    ret
    .size   crossing, . - crossing

    .balign 65536
    .section .note.GNU-stack, "", @progbits
