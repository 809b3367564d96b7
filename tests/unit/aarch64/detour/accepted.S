/* accepted.S - entries of functions that can be relocated. Those whose name begins with run_ are
 * also executed, as long f(long, long). */
#include "fixture.inc"

single store_pair, "stp x29, x30, [sp, #-352]!"
single behind_a_landing_pad, "hint #34; stp x29, x30, [sp, #-352]!"
single behind_a_signature, "hint #25; stp x29, x30, [sp, #-352]!"
single other_signature_behind_a_landing_pad, "hint #34; hint #27"
single sub_sp, "sub sp, sp, #0x2d0"
single sub_sp_shifted, "sub sp, sp, #1, lsl #12"
single behind_a_signature_sub_sp, "hint #25; sub sp, sp, #0x40"
single store_one, "str x19, [sp, #-32]!"
single store_pair_of_vectors, "stp d8, d9, [sp, #-64]!"
single store_pair_of_others, "stp x0, x1, [sp, #-16]!"
single nothing, "nop"
single store_elsewhere, "str x1, [x0, #16]"
single load, "ldr w2, [x0, #4]"
single move, "mov x3, x0"
single add_constant, "add x4, x0, #16"
single compare, "cmp x0, #1"
single test_register, "tst w0, w1"
single jump, "b .+0x100"
single condition, "b.eq .+0x100"
single compare_and_branch, "cbz x0, .+0x100"
single test_and_branch, "tbnz w0, #3, .+0x100"
single address, "adr x0, .+0x101"
single page_address, ".inst 0xb0000020" /* adrp x0, . + 5 pages */
single literal, "ldr x0, .+0x100"
single literal_of_32_bits, "ldr w1, .+0x104"
single literal_with_sign, "ldrsw x2, .+0x108"

fixture branch_to_site
1:  sub sp, sp, #32
    b.ne 1b
    ret
end branch_to_site

fixture branch_to_a_signature_that_is_kept
1:  hint #25
    sub sp, sp, #32
    b 1b
end branch_to_a_signature_that_is_kept

    .section .rodata
    .balign 8
    .quad 0
constant:
    .quad 0x1122334455667788

    .text
    .macro returning name, instruction
    fixture run_\name
    \instruction
    add x0, x0, x1
    ret
1:  mov x0, #77
    ret
    .balign 8
2:  .quad 0x99aabbccddeeff11
    end run_\name
    .endm

    returning jump, "b 1f"
    returning condition, "b.eq 1f"
    returning zero, "cbz x0, 1f"
    returning not_zero, "cbnz w1, 1f"
    returning bit, "tbz x0, #2, 1f"
    returning high_bit, "tbnz x0, #40, 1f"
    returning address, "adr x0, 2f"
    returning page_address, "adrp x0, constant"
    returning literal, "ldr x0, 2f"
    returning literal_of_32_bits, "ldr w0, 2f"
    returning literal_with_sign, "ldrsw x0, 2f"
    returning moved, "mov x0, x1"

fixture run_frame
    stp x29, x30, [sp, #-32]!
    mov x29, sp
    mul x0, x0, x1
    ldp x29, x30, [sp], #32
    ret
end run_frame

fixture run_signed
    hint #25
    stp x29, x30, [sp, #-32]!
    sub x0, x0, x1
    ldp x29, x30, [sp], #32
    hint #29
    ret
end run_signed
