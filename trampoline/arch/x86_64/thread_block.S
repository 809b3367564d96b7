/* thread_block.S - where the loader has put this library's variables of threads: arch_thread.h.
 *
 * _TLS_MODULE_BASE_ is the linker's name of the block's begin. The instructions are those that the
 * linker knows: in a program it replaces them by `mov $distance, %rax`. */
#include <cet.h> /* the property note of arch.mk */

    .text

    .globl  arch_thread_offset
    .hidden arch_thread_offset
    .type   arch_thread_offset, @function
arch_thread_offset:
    .cfi_startproc
    endbr64
    subq    $8, %rsp /* a function that allocates may want an aligned stack */
    .cfi_adjust_cfa_offset 8
    leaq    _TLS_MODULE_BASE_@tlsdesc(%rip), %rax
    call    *_TLS_MODULE_BASE_@tlscall(%rax)
    addq    $8, %rsp
    .cfi_adjust_cfa_offset -8
    ret
    .cfi_endproc
    .size   arch_thread_offset, . - arch_thread_offset

    .globl  arch_thread_descriptor
    .hidden arch_thread_descriptor
    .type   arch_thread_descriptor, @function
arch_thread_descriptor:
    .cfi_startproc
    endbr64
    leaq    _TLS_MODULE_BASE_@tlsdesc(%rip), %rax
    ret
    .cfi_endproc
    .size   arch_thread_descriptor, . - arch_thread_descriptor

    .section .note.GNU-stack, "", @progbits
