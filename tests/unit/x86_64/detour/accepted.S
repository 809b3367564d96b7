/* accepted.S - entries of functions that can be relocated. Those whose name begins with run_ are
 * also executed, as long f(long, long). */
#include "fixture.inc"

/* Relocated. */

fixture exactly_five_bytes
    mov $0, %eax
end exactly_five_bytes


fixture longest /* four bytes, and one instruction of fifteen */
    push %rbx
    mov %rdi, %rbx
    .byte 0x64, 0x2e, 0x67, 0x48, 0xc7, 0x84, 0x24
    .long 0x100, 2
    ret
end longest

single landing_pad, "endbr64; push %r15; push %r14; push %r13"
single second_landing_pad, "push %rbx; endbr64"
single frame_pointer, "push %rbp; mov %rsp, %rbp; push %r15"
single stack_realigned_by_lea, "lea 8(%rsp), %r10"
single push_rsp, "push %rsp; push 8(%rsp)"
single push_everything_else, "push $1; push $0x12345678"
single push_rip_memory, "push 0x100(%rip)"
single push_twice, "push %rbx; xor %ebx, %ebx; push %rbx; push %rax"
single four_kept_registers, "push %rbp; push %rbx; push %r12; push %r13"
single five_pushes, "push %rbx; push %rax; push %rbp; push %rdi; push %rsi"
single sub_much, "push %rbx; sub $0x7fffffff, %rsp"
single sub_nothing, "sub $0, %rsp; push %rbx"
single mov_rip_memory, "mov 0x100(%rip), %rax"
single mov_immediate_to_rip_memory, "movl $0x11223344, 0x100(%rip)"
single cmp_byte_in_rip_memory, "cmpb $0, -0x100(%rip)"
single two_bytes_from_rip_memory, "mov 0x100(%rip), %ax"
single vector_from_rip_memory, "vmovaps 0x100(%rip), %ymm1"
single own_address, "lea own_address(%rip), %rax"

fixture jcc_short_last
    test %rdi, %rdi
    je 1f
    .skip 8, 0x90
1:  ret
end jcc_short_last

fixture jcc_short_first
    jle 1f
    push %rbx
    push %r12
    .skip 8, 0x90
1:  ret
end jcc_short_first

fixture jcc_short_three_times
    jo 1f
    jno 1f
    jg 1f
    .skip 8, 0x90
1:  ret
end jcc_short_three_times

single jcc_near, ".byte 0x0f, 0x87, 0x00, 0x01, 0x00, 0x00"
single jmp_near, ".byte 0xe9, 0x00, 0x01, 0x00, 0x00"

fixture jmp_short_last
    mov %rdi, %rax
    jmp 1f
    .skip 8, 0x90
1:  ret
end jmp_short_last

fixture branch_to_site
    endbr64
1:  push %r15
    push %r14
    push %r13
    jne 1b
    .byte 0xe9
    .long 1b - 2f
2:
end branch_to_site

fixture branch_to_entry
1:  endbr64
    push %r15
    push %r14
    push %r13
    jne 1b
    ret
end branch_to_entry

fixture branch_to_back
    push %r15
    push %r14
    push %r13
1:  dec %edi
    jne 1b
    ret
end branch_to_back

fixture first_branches_to_itself
1:  jne 1b
    push %rbx
    push %r12
    ret
end first_branches_to_itself

fixture looks_like_a_near_branch_but_is_a_load
    push %r15
1:  push %r14
    push %r13
    .skip 200, 0x90
    mov 1b(%rip), %eax
    ret
end looks_like_a_near_branch_but_is_a_load

fixture looks_like_a_near_branch_but_for_its_opcode
    push %r15
1:  push %r14
    push %r13
    .skip 200, 0x90
    .byte 0x0f, 0x1f
    .long 1b - 2f
2:  ret
end looks_like_a_near_branch_but_for_its_opcode

fixture looks_like_a_call_but_is_two_instructions
    push %r13
    push %r12
    push %rbp
    push %rbx
    .skip 61, 0x90
    .byte 0x75, 0xe8              /* jne */
    .byte 0xb8
    .long -1                      /* mov $-1, %eax */
    ret
end looks_like_a_call_but_is_two_instructions

fixture undecodable_out_of_short_reach
    push %r15
    push %r14
    push %r13
    .skip 140, 0x90
    .byte 0x06
end undecodable_out_of_short_reach

fixture cut_in_two_at_its_end
    push %r15
    push %r14
    push %r13
    .byte 0x48, 0x81, 0xec, 0x48
end cut_in_two_at_its_end

/* Executed, in place and relocated. */

    .balign 8
constant:
    .quad 0x1122334455667788

fixture run_load_rip_memory
    mov constant(%rip), %rax
    add %rdi, %rax
    ret
end run_load_rip_memory

fixture run_compare_rip_memory
    cmpl $0x55667788, constant(%rip)
    jne 1f
    lea 1(%rdi), %rax
    ret
1:  lea 2(%rdi), %rax
    ret
end run_compare_rip_memory

fixture run_vector_from_rip_memory
    movq constant(%rip), %xmm0
    movq %xmm0, %rax
    xor %rdi, %rax
    ret
end run_vector_from_rip_memory

fixture run_jcc_short
    test %rdi, %rdi
    je 1f
    lea 1(%rsi), %rax
    ret
1:  lea 2(%rsi), %rax
    ret
end run_jcc_short

fixture run_jcc_short_first
    xor %eax, %eax
    cmp %esi, %edi
    jl 1f
    mov $10, %eax
    ret
1:  mov $20, %eax
    ret
end run_jcc_short_first

fixture run_jcc_near
    test %edi, %edi
    jg 1f
    mov $1, %eax
    ret
    .skip 200, 0x90
1:  mov $2, %eax
    ret
end run_jcc_near

fixture run_jmp
    mov %rdi, %rax
    jmp 1f
    add $100, %rax
1:  sub %rsi, %rax
    ret
end run_jmp

fixture run_jmp_first
    .byte 0xe9
    .long 1f - 2f
2:  mov $100, %eax
    ret
1:  lea (%rdi, %rsi, 4), %rax
    ret
end run_jmp_first

fixture run_pushes
    push %r15
    push %rbx
    push %r12
    mov %rdi, %r15
    mov %rsi, %rbx
    imul %r15, %rbx
    mov %rbx, %rax
    pop %r12
    pop %rbx
    pop %r15
    ret
end run_pushes

fixture run_frame_pointer
    push %rbp
    mov %rsp, %rbp
    sub $32, %rsp
    mov %rdi, -8(%rbp)
    mov %rsi, (%rsp)
    mov -8(%rbp), %rax
    add (%rsp), %rax
    leave
    ret
end run_frame_pointer

fixture run_landing_pad
    endbr64
    push %rsi
    sub $16, %rsp
    mov 16(%rsp), %rax
    add $16, %rsp
    pop %rcx
    sub %rdi, %rax
    ret
end run_landing_pad

fixture run_push_stack_memory
    push %rdi
    push (%rsp)
    push %rsp
    mov (%rsp), %rax
    mov (%rax), %rax
    add $24, %rsp
    ret
end run_push_stack_memory

fixture run_own_address
    lea run_own_address(%rip), %rax
    ret
end run_own_address
