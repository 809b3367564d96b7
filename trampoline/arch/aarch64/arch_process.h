/* arch_process.h - a second process in the same memory, which clone(2) makes without a libc's help
 * (see x86_64/arch_process.h). */
#ifndef PYPERF_ARCH_PROCESS_H
#define PYPERF_ARCH_PROCESS_H

#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* A block that stands for the libc's record of a thread. Below the thread pointer is the record itself
 * (glibc, nptl/descr.h, struct pthread; musl, src/internal/pthread_impl.h), with musl's errno, above it
 * variables of threads, such as glibc's errno (AAELF64, 7.3: variant I). */
enum { ARCH_THREAD_BELOW = 8 << 10, ARCH_THREAD_ABOVE = 64 << 10 };

/* Takes a zeroed block of ARCH_THREAD_BELOW + ARCH_THREAD_ABOVE bytes, and returns the thread pointer.
 * The values that protect stacks and pointers are not here: they are variables of the libc. */
static inline void *arch_thread_block(char *block)
{
    return block + ARCH_THREAD_BELOW;
}

static inline uintptr_t arch_thread_pointer(void)
{
    uintptr_t pointer;
    __asm__("mrs %0, tpidr_el0" : "=r"(pointer));
    return pointer;
}

/* Whether such a block has a place for a variable of threads, `variable` being that of this thread: a
 * program with many variables of its own pushes the libc's further away than any block is large, and
 * a store there would hit other memory. */
static inline int arch_thread_block_holds(const void *variable, uintptr_t size)
{
    uintptr_t at = (uintptr_t)variable - (arch_thread_pointer() - ARCH_THREAD_BELOW);
    return at <= ARCH_THREAD_BELOW + ARCH_THREAD_ABOVE - size;
}

/* clone(2), CLONE_SETTLS among its flags: the new process calls `function` on the stack that ends at
 * `stack`, a multiple of 16; it must not return. Returns its number, or -errno. The arguments are in
 * the order of CONFIG_CLONE_BACKWARDS (arch/arm64/Kconfig). */
static inline long arch_clone(unsigned long flags, char *stack, void *thread_pointer,
                              void (*function)(void))
{
    register long x0 __asm__("x0") = (long)flags;
    register char *x1 __asm__("x1") = stack;
    register long x2 __asm__("x2") = 0;
    register void *x3 __asm__("x3") = thread_pointer;
    register long x4 __asm__("x4") = 0;
    register long x8 __asm__("x8") = SYS_clone;
    register void (*x10)(void) __asm__("x10") = function;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, #0\n\t"
                     "mov x30, #0\n\t"
                     "blr x10\n\t"
                     "brk #1000\n"
                     "1:"
                     : "+r"(x0)
                     : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x8), "r"(x10)
                     : "memory", "cc");
    return x0;
}

/* A signal handler's third argument: it returns to `function`, as if that were called. */
static inline void arch_resume(void *context, char *stack, void (*function)(void))
{
    mcontext_t *registers = &((ucontext_t *)context)->uc_mcontext;
    registers->sp = (uintptr_t)stack;
    registers->regs[29] = registers->regs[30] = 0;
    registers->pc = (uintptr_t)function;
}

/* Such a context of a thread in a system call, of which nothing else is known. */
static inline void arch_waiting(ucontext_t *context, uintptr_t pc, uintptr_t stack_pointer)
{
    memset(context, 0, sizeof *context);
    context->uc_mcontext.pc = pc;
    context->uc_mcontext.sp = stack_pointer;
}

#endif
