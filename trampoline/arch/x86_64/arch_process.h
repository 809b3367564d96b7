/* arch_process.h - a second process in the same memory, which clone(2) makes without a libc's help:
 * a libc's own clone refuses a thread pointer (musl) or expects a thread of its own there. */
#ifndef PYPERF_ARCH_PROCESS_H
#define PYPERF_ARCH_PROCESS_H

#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "arch_thread.h"

/* A block that stands for the libc's record of a thread. Below the thread pointer are variables of
 * threads, such as glibc's errno, above it the record itself, such as musl's errno, and the table by
 * which musl finds variables of libraries that were loaded later (arch_thread.h): all of them lead to
 * the begin of the block. */
enum {
    ARCH_THREAD_BELOW = 64 << 10,
    ARCH_THREAD_ABOVE = 8 << 10,
    ARCH_THREAD_TABLE = 1 << 10, /* behind musl's struct pthread, of some 200 bytes */
    ARCH_THREAD_LATER = (ARCH_THREAD_ABOVE - ARCH_THREAD_TABLE) / 8,
};

/* Fills in a zeroed block of ARCH_THREAD_BELOW + ARCH_THREAD_ABOVE bytes, and returns the thread
 * pointer. The record's first words are the same in glibc (sysdeps/x86_64/nptl/tls.h, tcbhead_t)
 * and musl (src/internal/pthread_impl.h): its own address, and at 0x28 the value that protects
 * stacks; glibc's has its own address at 0x10, too, and at 0x30 a value that protects pointers. musl's has
 * the table's address at 8. */
static inline void *arch_thread_block(char *block)
{
    char *record = block + ARCH_THREAD_BELOW;
    uintptr_t own = (uintptr_t)record, guard, pointer_guard;
    __asm__("mov %%fs:0x28, %0\n\tmov %%fs:0x30, %1" : "=r"(guard), "=r"(pointer_guard));
    memcpy(record, &own, sizeof own);
    memcpy(record + 0x10, &own, sizeof own);
    memcpy(record + 0x28, &guard, sizeof guard);
    memcpy(record + 0x30, &pointer_guard, sizeof pointer_guard);
    if (!arch_thread_is_fixed()) {
        char **table = (char **)(void *)(record + ARCH_THREAD_TABLE);
        memcpy(record + 8, &table, sizeof table);
        for (int i = 0; i < ARCH_THREAD_LATER; i++)
            table[i] = block;
    }
    return record;
}

/* Whether such a block has a place for a variable of threads, `variable` being that of this thread: a
 * program with many variables of its own pushes the libc's further down than any block is large, and
 * a store there would hit other memory. Nor has its table a place for very many libraries: musl's begins
 * with their number. */
static inline int arch_thread_block_holds(const void *variable, uintptr_t size)
{
    uintptr_t record;
    const uintptr_t *table;
    __asm__("mov %%fs:0, %0\n\tmov %%fs:8, %1" : "=&r"(record), "=r"(table));
    if (!arch_thread_is_fixed() && table[0] >= ARCH_THREAD_LATER)
        return 0;
    uintptr_t at = (uintptr_t)variable - (record - ARCH_THREAD_BELOW);
    return at <= ARCH_THREAD_BELOW + ARCH_THREAD_ABOVE - size;
}

/* clone(2), CLONE_SETTLS among its flags: the new process calls `function` on the stack that ends at
 * `stack`, a multiple of 16; it must not return. Returns its number, or -errno. */
static inline long arch_clone(unsigned long flags, char *stack, void *thread_pointer,
                              void (*function)(void))
{
    register void *r8 __asm__("r8") = thread_pointer;
    register long r10 __asm__("r10") = 0;
    register void (*r12)(void) __asm__("r12") = function;
    long result;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "call *%%r12\n\t"
                     "ud2\n"
                     "1:"
                     : "=a"(result)
                     : "a"(SYS_clone), "D"(flags), "S"(stack), "d"(0), "r"(r10), "r"(r8), "r"(r12)
                     : "rcx", "r11", "memory");
    return result;
}

/* A signal handler's third argument: it returns to `function`, as if that were called. */
static inline void arch_resume(void *context, char *stack, void (*function)(void))
{
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    registers[REG_RSP] = (greg_t)(uintptr_t)(stack - sizeof(void *));
    registers[REG_RBP] = 0;
    registers[REG_RIP] = (greg_t)(uintptr_t)function;
}

/* Such a context of a thread in a system call, of which nothing else is known. */
static inline void arch_waiting(ucontext_t *context, uintptr_t pc, uintptr_t stack_pointer)
{
    memset(context, 0, sizeof *context);
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)pc;
    context->uc_mcontext.gregs[REG_RSP] = (greg_t)stack_pointer;
}

#endif
