/* trampoline.S - one trampoline and its unwind data (AArch64; see x86_64/trampoline.S).
 *
 * All trampolines of an image are these 32 bytes, with another distance in the call, which leads to
 * the image's own copy of the evaluator's first instructions (image.h, prologue).
 *
 *   offset  0       4                        8            12            16                     20
 *           bti c | stp x29, x30, [sp, -16]! | mov x29, sp | bl prologue | ldp x29, x30, [sp], 16 | ret
 *   CFA     sp ..............................  sp+16 ...................................  sp ......
 *   x29     own .............................  saved at CFA-16 .........................  own
 *   x30     the return address ..............  saved at CFA-8 ..........................  own
 *
 * Nothing in a rule says at which offset an address lies: the program counter has no DWARF number that
 * unwinders agree on (AADWARF64 has 32 for it, which libgcc does not accept). So each trampoline has the
 * rows above, and sixteen share an FDE (arch.h).
 *
 * The return address is not signed: a trampoline stores nothing but it and x29, and perf cannot read a
 * signed one in a copied stack.
 *
 * If the interpreter has no frame pointers, a nop takes the place of the mov, and x29 is the caller's
 * all the time. The rules are the same. */

#include "arch.h"
#include "properties.inc"

    .section .rodata.trampoline, "a", @progbits

    .globl  arch_trampoline
    .hidden arch_trampoline
    .balign 32
arch_trampoline:
    hint    #34                 /* bti c, ARCH_LANDING_PAD_SIZE */
    stp     x29, x30, [sp, #-16]!
.Lopened:
.Llink:
    mov     x29, sp
    .if . - .Llink != ARCH_TRAMPOLINE_LINK_SIZE
    .error "the link must be exactly ARCH_TRAMPOLINE_LINK_SIZE bytes"
    .endif
.Lcall:
    .inst   0x94000000          /* bl */
    ldp     x29, x30, [sp], #16
.Lclosed:
    ret
    .inst   0, 0                /* udf: no instruction */
.Lend:
    .if .Lend - arch_trampoline != ARCH_TRAMPOLINE_SIZE
    .error "a trampoline must be exactly ARCH_TRAMPOLINE_SIZE bytes"
    .endif

    .globl  arch_trampoline_displacement
    .hidden arch_trampoline_displacement
arch_trampoline_displacement:
    .byte   .Lcall - arch_trampoline

    .globl  arch_trampoline_link
    .hidden arch_trampoline_link
arch_trampoline_link:
    .byte   .Llink - arch_trampoline

    .globl  arch_trampoline_no_link
    .hidden arch_trampoline_no_link
    .balign 4
arch_trampoline_no_link:
    nop

    .globl  arch_undo
    .hidden arch_undo
arch_undo:
    hint    #29                 /* autiasp */
    .if . - arch_undo != ARCH_UNDO_SIZE
    .error "arch_undo must be exactly ARCH_UNDO_SIZE bytes"
    .endif

/* DWARF 4, 7.23 (call frame instructions); locations in words, places in words of 8 bytes. */
#define DW_CFA_advance_loc    0x40
#define DW_CFA_offset         0x80
#define DW_CFA_restore        0xc0
#define DW_CFA_def_cfa_offset 0x0e
#define WORDS(from, to) ((to - from) / ARCH_DWARF_CODE_ALIGNMENT)

    .globl  arch_trampoline_unwind
    .hidden arch_trampoline_unwind
    .balign 16
arch_trampoline_unwind:
    .byte   DW_CFA_advance_loc + WORDS(arch_trampoline, .Lopened)
    .byte   DW_CFA_def_cfa_offset, 16, DW_CFA_offset + 29, 2, DW_CFA_offset + 30, 1
    .byte   DW_CFA_advance_loc + WORDS(.Lopened, .Lclosed)
    .byte   DW_CFA_def_cfa_offset, 0, DW_CFA_restore + 29, DW_CFA_restore + 30
    .byte   DW_CFA_advance_loc + WORDS(.Lclosed, .Lend)
    .if . - arch_trampoline_unwind != ARCH_TRAMPOLINE_UNWIND_SIZE
    .error "arch_trampoline_unwind must be exactly ARCH_TRAMPOLINE_UNWIND_SIZE bytes"
    .endif

    .section .note.GNU-stack, "", @progbits
