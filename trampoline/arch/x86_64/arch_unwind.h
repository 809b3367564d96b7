/* arch_unwind.h - the registers of a signal's frame, and the return address, for trampoline/unwind. */
#ifndef PYPERF_ARCH_UNWIND_H
#define PYPERF_ARCH_UNWIND_H

#include <stdint.h>
#include <ucontext.h>

#include "trampoline/unwind/expression.h"

/* The return address is the word below the CFA (psABI, 3.2.2). */
#define ARCH_RETURN_ADDRESS (-8)

/* The registers that a signal handler's third argument has. */
static inline struct unwind_registers arch_interrupted(const void *context)
{
    const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
    return (struct unwind_registers){(uintptr_t)registers[REG_RIP], (uintptr_t)registers[REG_RSP],
                                     (uintptr_t)registers[REG_RBP]};
}

/* The context that the kernel has put on the stack, as seen from the code that the handler returns to
 * (arch/x86/kernel/signal_64.c, struct rt_sigframe: the return address has been popped). */
static inline uintptr_t arch_signal_context(const struct unwind_registers *registers)
{
    return registers->sp;
}

/* Bytes of it up to the last of those registers. */
#define ARCH_SIGNAL_CONTEXT (offsetof(ucontext_t, uc_mcontext.gregs) + sizeof(gregset_t))

#endif
