/* refused.S - entries of functions that must not be relocated. */
#include "fixture.inc"

single call, "bl .+0x100"
single call_behind_a_signature, "hint #25; bl .+0x100"
single call_register, "blr x9"
single jump_register, "br x9"
single return, "ret"
single return_with_authentication, ".inst 0xd65f0bff"
single system_call, "svc #0"
single breakpoint, "brk #0"
single uprobe, "brk #5"
single undefined, ".inst 0"
single other_signature, "hint #27"
single authentication, "hint #29"
single unknown_hint, "hint #20"
single move_to_sp, "mov sp, x0"
single add_sp, "add sp, sp, #16"
single and_sp, "and sp, x0, #-16"
single write_x16, "mov x16, x0"
single write_x18, "ldr x18, [x0]"
single write_x19, "mov x19, x0"
single write_x29, "mov x29, sp"
single address_to_x30, "adr x30, .+16"
single load_pair, "ldp x0, x1, [sp]"
single load_behind, "ldr x0, [sp], #16"
single raised, "stp x19, x20, [sp], #-16"
single stored_above_the_frame, "stp x29, x30, [sp, #16]"
single literal_vector, "ldr q0, .+0x100"
single literal_prefetch, "prfm pldl1keep, .+0x100"
single literal_zero, "ldr xzr, .+0x100"
single literal_of_itself, "ldr x0, ."
single literal_around_itself, ".inst 0x58ffffe0" /* ldr x0, . - 4 */
single atomic, ".inst 0xf8200000" /* ldadd x0, x0, [x0] */
single store_vector, "str q0, [sp, #-16]!"

fixture branch_behind_a_signature
    hint #25
1:  stp x29, x30, [sp, #-16]!
    .skip 200, 0
    cbnz x0, 1b
end branch_behind_a_signature

fixture call_behind_a_signature_that_is_kept
    hint #25
1:  sub sp, sp, #16
    nop
    bl 1b
end call_behind_a_signature_that_is_kept

fixture short
    .byte 0xfd, 0x7b, 0xbf
end short

fixture signature_alone
    hint #25
end signature_alone

fixture landing_pad_alone
    hint #34
end landing_pad_alone
