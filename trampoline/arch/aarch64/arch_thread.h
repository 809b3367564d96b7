/* arch_thread.h - variables of which each thread has its own (x86_64/arch_thread.h has the whole story).
 *
 * libpyperf.so is only preloaded on this CPU, since there is no pyperf-attach for it: so all threads have
 * these variables at the same distance from the thread pointer, which the compiler uses ("initial-exec").
 * musl refuses to load such a library later. */
#ifndef PYPERF_ARCH_THREAD_H
#define PYPERF_ARCH_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#define ARCH_THREAD_HERE(type, name)                                                               \
    extern _Thread_local type name __attribute__((tls_model("initial-exec")));                     \
    static inline type *name##_here(void)                                                          \
    {                                                                                              \
        return &name;                                                                              \
    }

#define ARCH_THREAD_VARIABLE(type, name)                                                           \
    static _Thread_local type name __attribute__((tls_model("initial-exec")));                     \
    static inline type *name##_here(void)                                                          \
    {                                                                                              \
        return &name;                                                                              \
    }

static inline intptr_t arch_thread_find(void)
{
    return 0;
}

static inline bool arch_thread_is_fixed(void)
{
    return true;
}

#endif
