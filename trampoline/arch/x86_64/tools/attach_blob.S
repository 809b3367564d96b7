/* attach_blob.S - the code that attach_blob.h describes. It is copied, so it refers to nothing but
 * its own data, which is in front of it.
 *
 * A thread comes here by a call of the function that the slot stands for, and leaves by a jump to
 * that function: its registers of arguments, the stack and errno are as they were. */
#include <cet.h> /* the property note of arch.mk */

#include "attach_blob.h"

#define DATA(offset) (attach_blob_code - BLOB_CODE + (offset))(%rip)

#define SYS_write  1   /* arch/x86/entry/syscalls/syscall_64.tbl */
#define SYS_close  3
#define SYS_getpid 39
#define SYS_gettid 186
#define SYS_memfd_create 319
#define MFD_CLOEXEC 1  /* linux/memfd.h */
#define ENOSPC     28  /* asm-generic/errno-base.h */
#define RTLD_NOW   2   /* dlfcn.h */

/* Of a slot */
#define PLACE  0
#define EXPECT 8
#define OURS   16
#define BEFORE 24
#define TARGET 32

    .text
    .balign 16
    .globl attach_blob_code, attach_blob_code_end, attach_blob_plant, attach_blob_take_back
    .hidden attach_blob_code, attach_blob_code_end, attach_blob_plant, attach_blob_take_back
attach_blob_code:
    .set number, 0
    .rept BLOB_SLOTS
    endbr64
    .byte 0x6a, number      /* push: positive below 128 */
    .byte 0xe9              /* jmp, of one size */
    .long come - . - 4
    .skip 5, 0xcc
    .set number, number + 1
    .endr
    .org attach_blob_code + 16 * BLOB_SLOTS

come:
    lock incl DATA(BLOB_INSIDE)
    push %rdi
    push %rsi
    push %rdx
    push %rbx
    push %rbp
    push %r12
    push %r13
    imul $BLOB_SLOT_SIZE, 56(%rsp), %rbx
    lea DATA(BLOB_SLOT), %rax
    add %rax, %rbx
    mov $OURS, %r8d
    mov $BEFORE, %r9d
    call exchange
    cmpl $BLOB_PLANTED, DATA(BLOB_STATE)
    jne leave
    mov $SYS_getpid, %eax
    syscall
    cmp DATA(BLOB_PROCESS), %eax
    jne leave               /* a child */
    mov $BLOB_PLANTED, %eax
    mov $BLOB_RUNNING, %ecx
    lock cmpxchg %ecx, DATA(BLOB_STATE)
    jne leave
    mov %rsp, %rbp
    call serve
    test %eax, %eax
    jnz kept
leave:
    mov TARGET(%rbx), %rax
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rsi
    pop %rdi
    lea 8(%rsp), %rsp       /* the slot's number */
    lock decl DATA(BLOB_INSIDE)
    notrack jmp *%rax       /* the target need not begin with a landing pad */
kept:
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    lea 32(%rsp), %rsp      /* the arguments, and the slot's number */
    lock decl DATA(BLOB_INSIDE)
    ret

/* The pointer of the slot rbx: from the slot's word at r8 to its word at r9. Uses rax, rcx, rdx. */
exchange:
    mov PLACE(%rbx), %rdx
    test %rdx, %rdx
    jz 1f
    mov (%rbx, %r8), %rax
    mov (%rbx, %r9), %rcx
    lock cmpxchg %rcx, (%rdx)
    jne 1f
    incl DATA(BLOB_CHANGED)
1:  ret

/* The same of all slots. Uses rsi and rbx as well. */
exchange_all:
    mov DATA(BLOB_COUNT), %esi
    lea DATA(BLOB_SLOT), %rbx
1:  test %esi, %esi
    jz 2f
    call exchange
    add $BLOB_SLOT_SIZE, %rbx
    dec %esi
    jmp 1b
2:  ret

/* All pointers. The library that is called sees none of ours. The pointer's other readers wait for the
 * lock that this thread has, unless each interpreter has its own (3.12 and later): then one may be
 * between a look at the pointer and the call. That is harmless if the look has loaded what is called,
 * as in all of Debian's and pyenv's builds that were looked at (3.11 to 3.13). */
give_all_back:
    mov $OURS, %r8d
    mov $BEFORE, %r9d
    jmp exchange_all

/* rbp: the stack pointer of `come`. Uses all registers but rbx and rbp. Returns 1 if the object that is
 * being freed was kept. */
serve:
    push %rbx
    call give_all_back
    pop %rbx
    mov DATA(BLOB_COUNTED), %ecx
    jrcxz 1f
    mov DATA(BLOB_COUNT_AT), %eax
    mov 48(%rbp), %rdx      /* come's rdi */
    incq (%rdx, %rax)
1:
    lea (attach_blob_code - BLOB_CODE + BLOB_SIZE)(%rip), %rsp
    mov $SYS_gettid, %eax
    syscall
    mov %eax, DATA(BLOB_SERVER)
    call *DATA(BLOB_ERRNO)
    mov (%rax), %r12d
    cmpq $0, DATA(BLOB_FUNCTION)
    jne 1f
    movl $1, DATA(BLOB_STEP)
    mov $-1, %r13d
    cmpl $0, DATA(BLOB_CONTENT)
    je 2f
    call fill_memory
    test %rax, %rax
    jle no_memory
2:  lea DATA(BLOB_PATH), %rdi
    mov $RTLD_NOW, %esi
    call *DATA(BLOB_DLOPEN)
    push %rax
    call close_memory
    pop %rax
    test %rax, %rax
    jz failed
    movl $2, DATA(BLOB_STEP)
    mov %rax, %rdi
    lea DATA(BLOB_SYMBOL), %rsi
    call *DATA(BLOB_DLSYM)
    test %rax, %rax
    jz failed
    mov %rax, DATA(BLOB_FUNCTION)
1:  movl $3, DATA(BLOB_STEP)
    cmpl $0, DATA(BLOB_OWN_STACK)
    je 2f
    lea -8(%rbp), %rsp      /* the address to return to */
    and $-16, %rsp
2:  lea DATA(BLOB_REQUEST), %rdi
    mov 48(%rbp), %rsi      /* the rdi and rsi that come has pushed */
    mov 40(%rbp), %rdx
    call *DATA(BLOB_FUNCTION)
    movl $4, DATA(BLOB_STEP)
    mov $BLOB_DONE, %r13d
served:
    call *DATA(BLOB_ERRNO)
    mov %r12d, (%rax)
    xor %eax, %eax
    mov DATA(BLOB_COUNTED), %ecx
    jrcxz 1f
    mov DATA(BLOB_COUNT_AT), %ecx
    mov 48(%rbp), %rdx
    decq (%rdx, %rcx)
    setne %al
1:  mov %r13d, DATA(BLOB_STATE)
    lea -8(%rbp), %rsp
    ret

no_memory:
    neg %eax
    jnz 1f
    mov $ENOSPC, %eax
1:  mov %eax, DATA(BLOB_NO_MEMORY)
    call close_memory
    mov $BLOB_FAILED, %r13d
    jmp served

failed:
    mov $BLOB_FAILED, %r13d
    call *DATA(BLOB_DLERROR)
    test %rax, %rax
    jz served
    lea DATA(BLOB_ERROR), %rdi
    mov $(BLOB_TEXT - 1), %ecx
1:  mov (%rax), %dl
    mov %dl, (%rdi)
    test %dl, %dl
    jz served
    inc %rax
    inc %rdi
    dec %ecx
    jnz 1b
    movb $0, (%rdi)
    jmp served

/* A file in memory with the library's bytes, its number behind BLOB_PATH. r13d: the descriptor, or -1;
 * rax: the error, or 0 if a part could not be written, or positive. */
fill_memory:
    lea name(%rip), %rdi
    mov $MFD_CLOEXEC, %esi
    mov $SYS_memfd_create, %eax
    syscall
    test %eax, %eax
    js 5f
    mov %eax, %r13d
    lea (attach_blob_code - BLOB_CODE + BLOB_SIZE)(%rip), %rsi
    mov DATA(BLOB_CONTENT), %edx
1:  mov %r13d, %edi
    mov $SYS_write, %eax
    syscall
    test %rax, %rax
    jle 5f
    add %rax, %rsi
    sub %rax, %rdx
    jnz 1b
    lea DATA(BLOB_PATH), %rdi
    dec %rdi
2:  inc %rdi
    cmpb $0, (%rdi)
    jne 2b
    mov %r13d, %eax
    mov $10, %ecx
    xor %esi, %esi
3:  xor %edx, %edx
    div %ecx
    add $'0', %edx
    push %rdx
    inc %esi
    test %eax, %eax
    jnz 3b
4:  pop %rdx
    mov %dl, (%rdi)
    inc %rdi
    dec %esi
    jnz 4b
    mov $1, %eax
5:  ret

/* r13d: a descriptor, or -1. */
close_memory:
    mov %r13d, %edi
    test %edi, %edi
    js 1f
    mov $SYS_close, %eax
    syscall
1:  ret

name:
    .asciz "libpyperf.so"

/* For a stopped thread: the system call at the end is the mark by which the debugger stops it. */
plant:
    mov $EXPECT, %r8d
    mov $OURS, %r9d
    call exchange_all
    mov $SYS_getpid, %eax
    syscall
    ret

take_back:
    mov $BLOB_PLANTED, %eax
    mov $BLOB_EXPIRED, %ecx
    lock cmpxchg %ecx, DATA(BLOB_STATE)
    call give_all_back
    mov $SYS_getpid, %eax
    syscall
    ret

    .org attach_blob_code + BLOB_STACK - BLOB_CODE, 0xcc /* fails if there is more */
attach_blob_code_end:

    .section .rodata
    .balign 4
attach_blob_plant:
    .long plant - attach_blob_code + BLOB_CODE
attach_blob_take_back:
    .long take_back - attach_blob_code + BLOB_CODE

    .section .note.GNU-stack, "", @progbits
