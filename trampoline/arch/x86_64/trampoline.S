/* trampoline.S - one trampoline and its unwind data.
 *
 * A trampoline calls the frame evaluator in place of the frame's caller, so that a return address
 * within it is on the stack for as long as the frame runs:
 *
 *   caller                   caller
 *   evaluator                trampoline: py::Orders.total:/srv/app.py
 *                            evaluator
 *
 * All trampolines of an image are these 16 bytes, with another distance in the call, which leads
 * to the image's own copy of the evaluator's first instructions (image.h, prologue). They follow
 * each other without a gap at multiples of 16, so that one FDE serves them all: the low four bits
 * of an address are its offset in its trampoline, and the expressions below use them, as those that
 * linkers write for .plt do.
 *
 *   offset  0         4      5          8           13    14    15
 *           endbr64 | push | mov rbp  | call prologue | pop | ret | int3
 *   CFA     rsp+8            rsp+16 ....................  rsp+8
 *   rbp     own              saved at CFA-16 ...........  own
 *
 * If the interpreter has no frame pointers, a nop of the same size takes the place of mov rbp, and rbp
 * is the caller's all the time: then it has no rule, because libunwind 1.6 takes an expression of the
 * value 0 for the end of the stack.
 *
 * (rip + 2) & 15 >= 7 is true for 5..13 and false for 14, 15 and 0..4: the frame is open. */

#include <cet.h> /* the property note of arch.mk */

#include "arch.h"

    .section .rodata.trampoline, "a", @progbits

    .globl  arch_trampoline
    .hidden arch_trampoline
    .balign 16
arch_trampoline:
    endbr64                     /* ARCH_LANDING_PAD_SIZE */
    pushq   %rbp
.Llink:
    movq    %rsp, %rbp
    .if . - .Llink != ARCH_TRAMPOLINE_LINK_SIZE
    .error "the link must be exactly ARCH_TRAMPOLINE_LINK_SIZE bytes"
    .endif
    .byte   0xe8                /* call rel32: SDM vol. 2A, CALL E8 cd */
.Ldisplacement:
    .long   0
    popq    %rbp
    ret
    int3
.Lend:
    .if .Lend - arch_trampoline != ARCH_TRAMPOLINE_SIZE
    .error "a trampoline must be exactly ARCH_TRAMPOLINE_SIZE bytes"
    .endif

    .globl  arch_trampoline_displacement
    .hidden arch_trampoline_displacement
arch_trampoline_displacement:
    .byte   .Ldisplacement - arch_trampoline

    .globl  arch_trampoline_link, arch_trampoline_no_link
    .hidden arch_trampoline_link, arch_trampoline_no_link
arch_trampoline_link:
    .byte   .Llink - arch_trampoline
arch_trampoline_no_link:
    nopl    (%rax)

    .globl  arch_undo
    .hidden arch_undo
arch_undo:
    leaq    8(%rsp), %rsp
    .if . - arch_undo != ARCH_UNDO_SIZE
    .error "arch_undo must be exactly ARCH_UNDO_SIZE bytes"
    .endif

/* DWARF 4, 7.7.1 (operations) and 7.23 (call frame instructions). */
#define DW_OP_deref  0x06
#define DW_OP_and    0x1a
#define DW_OP_minus  0x1c
#define DW_OP_mul    0x1e
#define DW_OP_plus   0x22
#define DW_OP_shl    0x24
#define DW_OP_ge     0x2a
#define DW_OP_lit(n) 0x30 + n
#define DW_OP_breg_rbp 0x76
#define DW_OP_breg_rsp 0x77
#define DW_OP_breg_rip 0x80
#define DW_CFA_def_cfa_expression 0x0f
#define DW_CFA_val_expression     0x16

#define FRAME_IS_OPEN DW_OP_breg_rip, 2, DW_OP_lit(15), DW_OP_and, DW_OP_lit(7), DW_OP_ge

    .globl  arch_trampoline_unwind
    .hidden arch_trampoline_unwind
    .balign 16                  /* of an array, for C: psABI 3.1.2 */
arch_trampoline_unwind:
    /* CFA = rsp + 8 + (open << 3) */
    .byte   DW_CFA_def_cfa_expression, .Lcfa_end - .Lcfa
.Lcfa:
    .byte   DW_OP_breg_rsp, 8, FRAME_IS_OPEN, DW_OP_lit(3), DW_OP_shl, DW_OP_plus
.Lcfa_end:
    .if . - arch_trampoline_unwind != ARCH_TRAMPOLINE_CFA_SIZE
    .error "the CFA's rule must be exactly ARCH_TRAMPOLINE_CFA_SIZE bytes"
    .endif
    /* rbp = rbp + (*rsp - rbp) * open: while the frame is open, rsp points to what rbp was. Without
     * a branch: not every unwinder knows those (valgrind 3.19 does not, and prints a message). */
    .byte   DW_CFA_val_expression, 6, .Lrbp_end - .Lrbp
.Lrbp:
    .byte   DW_OP_breg_rbp, 0, DW_OP_breg_rsp, 0, DW_OP_deref, DW_OP_breg_rbp, 0, DW_OP_minus
    .byte   FRAME_IS_OPEN, DW_OP_mul, DW_OP_plus
.Lrbp_end:
.Lunwind_end:
    .if .Lunwind_end - arch_trampoline_unwind != ARCH_TRAMPOLINE_UNWIND_SIZE
    .error "arch_trampoline_unwind must be exactly ARCH_TRAMPOLINE_UNWIND_SIZE bytes"
    .endif

    .section .note.GNU-stack, "", @progbits
