/* hook.S - the way of every frame: from the frame to its trampoline, in a dozen instructions.
 *
 * The interpreter has called its frame evaluator, and the detour (detour.h) or the interpreter's own
 * evaluator pointer (PEP 523) leads here, with the evaluator's arguments in rdi, rsi and rdx and the
 * return address on the stack. What is left to do is to find the slot of this frame's code object:
 *
 *   frame -- frame_code --> code object -- code_extra --> co_extra
 *                                                           | ce_size
 *                                                           | ce_extras[index]
 *                                                           v
 *                                            tag (17 bits) . address of the slot (47 bits)
 *
 * co_extra belongs to other tools as well, and outlives a fork. So the value carries a tag in the
 * bits that no user address has (Intel SDM vol. 1, 3.3.7.1: canonical addresses). XOR with the tag
 * in force takes the tag away when it is the right one and leaves some high bit set when it is
 * anything else: a stranger's value, one from before a fork, a name kept for later, or zero. All of
 * those go the slow way, to C. Scratch registers are rax and rcx only: both are the callee's to
 * clobber (System V psABI x86-64, 3.2.1), and nothing else is touched on the fast way.
 *
 * The offsets are read from `hook_offsets`, which is filled once, before the detour is committed.
 *
 * Where the evaluator would have run calls without the C stack, had it not been told otherwise, each
 * thread has a floor for its stack pointer: below it C decides (preload/evaluator.h). */

#define FRAME_CODE 0
#define CODE_EXTRA 8
#define INDEX      16
#define TAG        24

#define ADDRESS_BITS 47

    .section .data.hook_offsets, "aw", @progbits
    .globl  hook_offsets
    .hidden hook_offsets
    .balign 64
    .type   hook_offsets, @object
    .size   hook_offsets, 32
hook_offsets:
    .zero   32

    .section .tdata, "awT", @progbits
    .globl  hook_stack_floor
    .hidden hook_stack_floor
    .balign 8
    .type   hook_stack_floor, @object
    .size   hook_stack_floor, 8
hook_stack_floor:
    .quad   -1

    .text

/* \frame: register that holds the frame. \indirect: 1 where ce_extras is a pointer to the array and
 * not the array itself (CPython 3.6). \floor: 1 to look at the stack pointer. */
.macro hook name, frame, indirect, floor
    .globl  \name
    .hidden \name
    .type   \name, @function
    .balign 16
\name:
    .cfi_startproc
    endbr64
.if \floor
    movq    hook_stack_floor@gottpoff(%rip), %rax
    cmpq    %fs:(%rax), %rsp
    jb      \name\()_slow
.endif
    movq    hook_offsets+FRAME_CODE(%rip), %rax
    movq    (\frame,%rax), %rax
    movq    hook_offsets+CODE_EXTRA(%rip), %rcx
    movq    (%rax,%rcx), %rax
    movq    hook_offsets+INDEX(%rip), %rcx
    testq   %rax, %rax
    jz      \name\()_slow
    cmpq    %rcx, (%rax)
    jle     \name\()_slow
.if \indirect
    movq    8(%rax), %rax
    movq    (%rax,%rcx,8), %rax
.else
    movq    8(%rax,%rcx,8), %rax
.endif
    xorq    hook_offsets+TAG(%rip), %rax
    movq    %rax, %rcx
    shrq    $ADDRESS_BITS, %rcx
    jnz     \name\()_slow
    jmpq    *%rax
    .cfi_endproc
    .size   \name, . - \name

/* Asks C for the slot. Also an entry of its own, for callers that have something to tell C on each
 * frame. Three pushes leave the stack 16-byte aligned for the call (psABI 3.2.2). */
    .globl  \name\()_slow
    .hidden \name\()_slow
    .type   \name\()_slow, @function
\name\()_slow:
    .cfi_startproc
    endbr64
    pushq   %rdi
    .cfi_adjust_cfa_offset 8
    pushq   %rsi
    .cfi_adjust_cfa_offset 8
    pushq   %rdx
    .cfi_adjust_cfa_offset 8
    movq    \frame, %rdi
    call    hook_resolve
    popq    %rdx
    .cfi_adjust_cfa_offset -8
    popq    %rsi
    .cfi_adjust_cfa_offset -8
    popq    %rdi
    .cfi_adjust_cfa_offset -8
    jmpq    *%rax
    .cfi_endproc
    .size   \name\()_slow, . - \name\()_slow
.endm

    hook hook_frame_first_indirect, %rdi, 1, 0
    hook hook_frame_first, %rdi, 0, 0
    hook hook_frame_second, %rsi, 0, 0
    hook hook_frame_second_floor, %rsi, 0, 1

    .section .note.GNU-stack, "", @progbits
