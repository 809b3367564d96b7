/* unwind_registers.h - the registers that unwind.S knows, by their DWARF numbers (AADWARF64, 4.1): x19 to
 * x23, and x29; and where the call of a trampoline returns to. */
#ifndef PYPERF_TEST_UNWIND_REGISTERS_H
#define PYPERF_TEST_UNWIND_REGISTERS_H

#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#define UNWIND_REGISTERS                                                                           \
    {                                                                                              \
        19, 20, 21, 22, 23, 29                                                                     \
    }
enum { UNWIND_RETURN = 16 };
enum { UNWIND_TRAP_FLAG = 0 }; /* none that user mode can set */

/* The context of a thread that was interrupted there. The return address leads to the same code. */
static inline void unwind_interrupted(ucontext_t *context, uintptr_t pc, uintptr_t sp, uintptr_t fp)
{
    memset(context, 0, sizeof *context);
    context->uc_mcontext.pc = pc;
    context->uc_mcontext.sp = sp;
    context->uc_mcontext.regs[29] = fp;
    context->uc_mcontext.regs[30] = pc;
}

#endif
