/* refused.S - entries of functions for which no detour can be planned. They are never executed. */
#include "fixture.inc"

/* Instructions that cannot run elsewhere. */

single call_first, ".byte 0xe8, 0x00, 0x01, 0x00, 0x00"
single call_after_push, "push %rbx; call *%rax; pop %rbx"
single call_through_memory, "call *0x100(%rip)"
single call_far, "lcall *(%rax)"
single ret_first, "ret"
single ret_after_xor, "xor %eax, %eax; ret"
single ret_with_pop, "ret $8"
single ret_far, "lretq"
single iret, "iretq"
single loop, "loop ."
single loopne, "loopne ."
single jrcxz, "jrcxz . + 10"
single jecxz, "jecxz . + 10"
single int3, "int3"
single int1, ".byte 0xf1"
single int_0x80, "int $0x80"
single syscall, "syscall"
single sysenter, "sysenter"
single hlt, "hlt"
single ud2, "ud2"
single ud0, ".byte 0x0f, 0xff, 0xc0"
single ud1, ".byte 0x0f, 0xb9, 0xc0"
single xbegin, ".byte 0xc7, 0xf8, 0x00, 0x01, 0x00, 0x00"
single jmp_register, "jmp *%rax"
single jmp_memory, "jmp *0x100(%rip)"
single jmp_far, "ljmp *(%rax)"
single jmp_with_bnd, ".byte 0xf2, 0xe9, 0x00, 0x01, 0x00, 0x00"
single jcc_with_hint, ".byte 0x3e, 0x74, 0x10"

fixture jcc_with_operand_size /* six bytes on Intel's CPUs and five on AMD's */
    .byte 0x66, 0x0f, 0x84, 0x00, 0x01, 0x00, 0x00
    ret
end jcc_with_operand_size

/* Instructions that move the stack pointer by an unknown amount, or not by push or sub. */

single and_rsp, "and $-16, %rsp"
single add_rsp, "add $-128, %rsp"
single sub_negative, "sub $-128, %rsp"
single sub_register, "sub %rax, %rsp"
single sub_esp, "sub $8, %esp"
single push_where_no_row_can_say_it, "sub $1, %rsp; push %rbx"
single mov_to_rsp, "mov %rdi, %rsp"
single mov_to_spl, "mov $0x10, %spl"
single lea_to_rsp, "lea -8(%rsp), %rsp"
single xchg_rsp, "xchg %rax, %rsp"
single cmov_rsp, "cmove %rax, %rsp"
single inc_rsp, "inc %rsp"
single pop, "pop %rax"
single pop_rsp, "pop %rsp"
single popf, "popf"
single pushf, "pushf"
single push_two_bytes, "push %bx"
single push_two_bytes_immediate, "pushw $1"
single push_fs, "push %fs"
single enter, "enter $16, $0"
single leave, "leave"

/* Operands and branches that would see the displaced bytes. */

single loads_its_own_first_byte, "mov -7(%rip), %rax"
single loads_its_own_last_byte, "movb -1(%rip), %al"
single address_of_its_second_byte, "lea -6(%rip), %rax"
single eip_relative, "mov 0x100(%eip), %eax"

fixture jcc_to_second_instruction
    push %rbx
1:  test %edi, %edi
    je 1b
    ret
end jcc_to_second_instruction

fixture jcc_over_one_instruction
    je 1f
    push %rbx
1:  push %r12
    ret
end jcc_over_one_instruction

fixture short_branch_to_last_byte
    push %r15
    push %r14
    .byte 0x41
1:  push %rbp
    .skip 100, 0x90
    jne 1b
    ret
end short_branch_to_last_byte

fixture short_branch_to_second_byte
    .byte 0x41
1:  push %rdi
    push %r14
    push %r13
    jmp 1b
end short_branch_to_second_byte

fixture short_branch_as_far_as_it_reaches
    push %r15
    push %r14
    .byte 0x41
1:  push %rbp
    .skip 125, 0x90
    .byte 0x75, 0x80
    ret
end short_branch_as_far_as_it_reaches

fixture loop_into_entry
    push %rbx
1:  xor %eax, %eax
    inc %eax
    nop
    loop 1b
    ret
end loop_into_entry

fixture jrcxz_into_entry
    push %rbx
1:  xor %eax, %eax
    inc %eax
    nop
    jrcxz 1b
    ret
end jrcxz_into_entry

fixture near_jmp_into_entry
    push %r15
1:  push %r14
    push %r13
    .skip 1000, 0x90
    jmp 1b
end near_jmp_into_entry

fixture near_jcc_into_entry
    push %r15
1:  push %r14
    push %r13
    .skip 1000, 0x90
    jg 1b
end near_jcc_into_entry

fixture near_call_into_entry
    push %r15
1:  push %r14
    push %r13
    .skip 1000, 0x90
    call 1b
end near_call_into_entry

fixture near_xbegin_into_entry
    push %r15
    push %r14
    push %r13
    .skip 1000, 0x90
    .byte 0xc7, 0xf8
    .long -1010 /* back 4 + 2 + 1000 + 4 to the second push */
end near_xbegin_into_entry

fixture near_jmp_right_behind
    push %r15
1:  push %r14
    push %r13
    .byte 0xe9
    .long 1b - 2f
2:
end near_jmp_right_behind

/* Bytes that cannot be decoded. */

single undecodable, ".byte 0x06"
single undecodable_after_push, "push %rbx; .byte 0x0e"

fixture undecodable_in_short_reach
    push %r15
    push %r14
    push %r13
    .skip 100, 0x90
    .byte 0x06
    .skip 100, 0x90
end undecodable_in_short_reach

/* Too short. */

fixture four_bytes
    push %r15
    push %r14
end four_bytes

fixture landing_pad_and_four_bytes
    endbr64
    push %r15
    push %r14
end landing_pad_and_four_bytes

fixture cut_in_two
    push %r15
    push %r14
    .byte 0x48, 0x81, 0xec, 0x48
end cut_in_two

single jmp_short_first, "jmp . + 10"
