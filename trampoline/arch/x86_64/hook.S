/* hook.S - runs for every frame and jumps to its trampoline, in a dozen instructions.
 *
 * The interpreter has called its frame evaluator, and the detour (detour.h) or the interpreter's
 * own evaluator pointer (PEP 523) leads here, with the evaluator's arguments in rdi, rsi and rdx
 * and the return address on the stack. The hook finds the trampoline of this frame's code object:
 *
 *   frame -- frame_code --> code object -- code_extra --> co_extra
 *                                                           | ce_size
 *                                                           | ce_extras[index]
 *                                                           v
 *                                            tag (17 bits) . address of the trampoline (47 bits)
 *
 * co_extra belongs to other tools as well, and outlives a fork. So the value carries a tag in the
 * bits that no user address has (Intel SDM vol. 1, 3.3.7.1: canonical addresses). XOR with the tag
 * in force clears the high bits if the value has that tag, and leaves some of them set if it is
 * anything else: another tool's value, one from before a fork, a name noted for later, or zero.
 * Those take the slow path, to C. The only scratch register is rax, which a callee may clobber
 * (System V psABI x86-64, 3.2.1); the fast path changes nothing else.
 *
 * 2.7 has no co_extra. There the value is beside the code object's address in an array of ours, at
 * an index made of some bits of the address; rcx, which a callee may clobber too, points to it. If
 * another code object has that entry, C looks further (preload/cpython/code_table.h).
 *
 * Offsets that are the same for all frames of an interpreter are immediate operands, so there is a
 * variant for each set of them (hook_variants.h). The hook takes our index in ce_extras to be 0,
 * which exists if any does: libpyperf requests an index in the interpreter's first frame, before
 * other code can. If the index is another one, the first value lacks the tag, and C decides each
 * time.
 *
 * From 3.11 on, where the evaluator by itself runs Python calls without C stack, each thread has a
 * range for its stack pointer; outside of it, below or above, C decides
 * (preload/cpython/thread_stack.h). One comparison checks both ends; it needs rcx. */

#include <cet.h> /* the property note of arch.mk */

#include "arch.h"
#include "trampoline/hook_variants.h"

#define TAG  0
#define MASK 8
#define CODES 16
#define CODES_MASK 24

#define CODE_VALUE 8

#define STACK_FLOOR 0
#define STACK_SIZE  8

#define FIRST_VALUE 8 /* behind ce_size */

    .section .data.hook_state, "aw", @progbits
    .globl  hook_state
    .hidden hook_state
    .balign 64
    .type   hook_state, @object
    .size   hook_state, 32
hook_state:
    .quad   0
    .quad   -1 << ARCH_ADDRESS_BITS
    .quad   no_codes
    .quad   0

    .section .bss.no_codes, "aw", @nobits
    .balign 16
    .type   no_codes, @object
    .size   no_codes, 1 << HOOK_CODE_SIZE_BITS
no_codes:
    .zero   1 << HOOK_CODE_SIZE_BITS

    .section .tbss, "awT", @nobits
    .globl  hook_stack
    .hidden hook_stack
    .balign 8
    .type   hook_stack, @object
    .size   hook_stack, 16
hook_stack:
    .zero   16

    .text

#define REGISTER_0 %rdi
#define REGISTER_1 %rsi

/* The jump at the entry leads here if it stands behind a `push` that was kept there (detour.h). The
 * value that was pushed is not used. */
.macro undo_push
    .cfi_def_cfa_offset 16
    leaq    8(%rsp), %rsp
    .cfi_def_cfa_offset 8
.endm

.macro hook name, frame, frame_code, code_extra, indirect, floor, tagged
    .globl  \name
    .hidden \name
    .balign 64 /* so that a hook begins a line of the instruction cache */
    .type   \name\()_behind_push, @function
\name\()_behind_push:
    .cfi_startproc
    undo_push
    .size   \name\()_behind_push, ARCH_UNDO_SIZE
    .type   \name, @function
\name:
    .if . - \name\()_behind_push != ARCH_UNDO_SIZE
    .error "undo_push must be exactly ARCH_UNDO_SIZE bytes"
    .endif
    endbr64
.if \floor
    movq    arch_thread_fixed(%rip), %rax
    movq    %rsp, %rcx
    subq    %fs:hook_stack@dtpoff+STACK_FLOOR(%rax), %rcx
    cmpq    %fs:hook_stack@dtpoff+STACK_SIZE(%rax), %rcx
    jae     \name\()_slow
.endif
    movq    \frame_code(\frame), %rax
.if \tagged
    andq    $-4, %rax
.endif
.if \code_extra == 0
    movl    %eax, %ecx
    shrl    $HOOK_CODE_SHIFT - HOOK_CODE_SIZE_BITS, %ecx
    andl    hook_state+CODES_MASK(%rip), %ecx
    addq    hook_state+CODES(%rip), %rcx
    cmpq    %rax, (%rcx)
    jne     \name\()_slow
    movq    CODE_VALUE(%rcx), %rax
.else
    movq    \code_extra(%rax), %rax
    testq   %rax, %rax
    jz      \name\()_slow
    movq    FIRST_VALUE(%rax), %rax
.endif
.if \indirect /* the array is allocated separately, and may be missing */
    testq   %rax, %rax
    jz      \name\()_slow
    movq    (%rax), %rax
.endif
    xorq    hook_state+TAG(%rip), %rax
    testq   hook_state+MASK(%rip), %rax
    jnz     \name\()_slow
    jmpq    *%rax
    .cfi_endproc
    .size   \name, . - \name

/* Asks C for the trampoline. Also an entry point, for interpreters in which C must see each frame.
 * Three pushes leave the stack 16-byte aligned for the call (psABI 3.2.2). */
    .globl  \name\()_slow
    .hidden \name\()_slow
    .type   \name\()_slow_behind_push, @function
\name\()_slow_behind_push:
    .cfi_startproc
    undo_push
    .size   \name\()_slow_behind_push, ARCH_UNDO_SIZE
    .type   \name\()_slow, @function
\name\()_slow:
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

#define DEFINE(name, argument, frame_code, code_extra, indirect, floor, tagged) \
    hook name, REGISTER_##argument, frame_code, code_extra, indirect, floor, tagged;
    HOOK_VARIANTS(DEFINE)

    .section .note.GNU-stack, "", @progbits
