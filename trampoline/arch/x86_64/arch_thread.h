/* arch_thread.h - variables of which each thread has its own, in a library that is loaded at the start of
 * a process or later (pyperf-attach).
 *
 * The compilers offer two ways to such a variable. The one that needs no call ("initial-exec") wants the
 * same distance from the thread pointer in all threads. glibc keeps some room for that; musl has none for
 * a library that comes later, and refuses to load it. The other one calls __tls_get_addr, which in glibc
 * may allocate memory, and which libc.symbols does not permit. So here is the third one, TLS descriptors
 * (https://www.fsfla.org/~lxoliva/writeups/TLS/RFC-TLSDESC-x86.txt), which clang before 19 does not write:
 * the loader fills in two words, a function that returns the distance, and its argument.
 *
 *      glibc; musl, preloaded      mov 8(%rax), %rax; ret      the same distance for all threads, which is
 *                                                              noted: from then on there is no call
 *      musl, loaded later          looks into the thread's table of such libraries, which musl has
 *                                  filled in before dlopen returns: no lock, no memory; from 3.11 on,
 *                                  where the hook needs such a variable, C finds each trampoline
 *      glibc without room          calls __tls_get_addr: pyperf_attach refuses that (attach.c)
 *
 * All variables of libpyperf.so are in one block, which has one descriptor. */
#ifndef PYPERF_ARCH_THREAD_H
#define PYPERF_ARCH_THREAD_H

#include <stdbool.h>
#include <stdint.h>

/* The block's distance from the thread pointer, once arch_thread_find has noted it; 0: it is not noted, or
 * not the same in all threads (in a program it is 0). hook.S reads it (frame_evaluator.c). */
extern intptr_t arch_thread_fixed;

/* The same for this thread alone. */
intptr_t arch_thread_offset(void);

/* The same; notes whether it is the same in all threads. */
intptr_t arch_thread_find(void);

/* Whether it is. */
bool arch_thread_is_fixed(void);

static inline char *arch_thread_block_of_this(void)
{
    char *thread;
    __asm__("mov %%fs:0, %0" : "=r"(thread));
    intptr_t offset = __atomic_load_n(&arch_thread_fixed, __ATOMIC_RELAXED);
    return thread + (offset != 0 ? offset : arch_thread_find());
}

/* Defines name_here(), which returns the address of this thread's `name`, a thread-local variable. C
 * itself does not use `name`: the linker would miss __tls_get_addr. */
#define ARCH_THREAD_HERE(type, name)                                                               \
    static inline type *name##_here(void)                                                          \
    {                                                                                              \
        type *here;                                                                                \
        __asm__("lea " #name "@dtpoff(%1), %0" : "=r"(here) : "r"(arch_thread_block_of_this()));   \
        return here;                                                                               \
    }

/* Defines such a variable for one source, too. */
#define ARCH_THREAD_VARIABLE(type, name)                                                           \
    static _Thread_local type name __attribute__((used));                                          \
    ARCH_THREAD_HERE(type, name)

#endif
