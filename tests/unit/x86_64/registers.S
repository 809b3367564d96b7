/* registers.S - a thread that notices when any of its registers, its flags or its red zone change.
 *
 *     long registers_change(void);     0, or which did
 *
 * Spins for some microseconds with known values in all of them. */
#define ROUNDS 20000

    .text
    .globl registers_change
    .type registers_change, @function
registers_change:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov $0x1111111111111111, %rax
    .set at, 8
    .rept 16                    /* the red zone: 128 bytes */
    mov %rax, -at(%rsp)
    .set at, at + 8
    .endr
    .macro fill reg, number
    movabs $0x0101010101010101 * \number, %\reg
    .endm
    .macro fill_vector number
    movq %rax, %xmm\number
    pshufd $0x44, %xmm\number, %xmm\number
    .endm
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    fill_vector \number
    .endr
    fill rbx, 2
    fill rbp, 3
    fill rsi, 4
    fill rdi, 5
    fill rdx, 6
    fill r8, 8
    fill r9, 9
    fill r10, 10
    fill r11, 11
    fill r12, 12
    fill r13, 13
    fill r14, 14
    fill r15, 15
    mov $ROUNDS, %ecx
    stc
1:  dec %ecx                    /* leaves the carry */
    jnz 1b
    mov $100, %eax
    jnc 9f
    .macro check reg, number
    movabs $0x0101010101010101 * \number, %rcx
    mov $\number, %eax
    cmp %rcx, %\reg
    jne 9f
    .endm
    check rbx, 2
    check rbp, 3
    check rsi, 4
    check rdi, 5
    check rdx, 6
    check r8, 8
    check r9, 9
    check r10, 10
    check r11, 11
    check r12, 12
    check r13, 13
    check r14, 14
    check r15, 15
    mov $0x1111111111111111, %rcx
    .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    mov $20 + \number, %eax
    movq %xmm\number, %rdx
    cmp %rcx, %rdx
    jne 9f
    punpckhqdq %xmm\number, %xmm\number
    movq %xmm\number, %rdx
    cmp %rcx, %rdx
    jne 9f
    .endr
    .set at, 8
    .rept 16
    mov $40 + at / 8, %eax
    cmp %rcx, -at(%rsp)
    jne 9f
    .set at, at + 8
    .endr
    xor %eax, %eax
9:  pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
    .size registers_change, . - registers_change

    .section .note.GNU-stack, "", @progbits
