/* unwind_registers.h - the registers that unwind.S knows, by their DWARF numbers (psABI, figure 3.36): rbx,
 * rbp, r12 to r15; and where the call of a trampoline returns to. */
#ifndef PYPERF_TEST_UNWIND_REGISTERS_H
#define PYPERF_TEST_UNWIND_REGISTERS_H

#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#define UNWIND_REGISTERS                                                                           \
    {                                                                                              \
        3, 6, 12, 13, 14, 15                                                                       \
    }
enum { UNWIND_RETURN = 13 };
enum { UNWIND_TRAP_FLAG = 0x100 }; /* SDM vol. 1, 3.4.3.3 */

/* The context of a thread that was interrupted there. r10 is a CFA in realigned.S. */
static inline void unwind_interrupted(ucontext_t *context, uintptr_t pc, uintptr_t sp, uintptr_t fp)
{
    memset(context, 0, sizeof *context);
    greg_t *registers = context->uc_mcontext.gregs;
    registers[REG_RIP] = (greg_t)pc;
    registers[REG_RSP] = (greg_t)sp;
    registers[REG_RBP] = (greg_t)fp;
    registers[REG_R10] = (greg_t)(sp + 64);
}

#endif
