/* arch_unwind.h - the registers of a signal's frame, and the return address, for
 * trampoline/unwind. */
#ifndef PYPERF_ARCH_UNWIND_H
#define PYPERF_ARCH_UNWIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "trampoline/base/readable.h"
#include "trampoline/unwind/expression.h"
#include "trampoline/unwind/rule.h"

/* The registers that a signal handler's third argument has. */
static inline struct unwind_registers arch_interrupted(const void *context)
{
    const greg_t *registers = ((const ucontext_t *)context)->uc_mcontext.gregs;
    return (struct unwind_registers){(uintptr_t)registers[REG_RIP], (uintptr_t)registers[REG_RSP],
                                     (uintptr_t)registers[REG_RBP], (uintptr_t)registers[REG_RBX]};
}

/* A frame pointer of 0 says nothing: most code uses the register for anything. */
enum { ARCH_FRAME_POINTER_ENDS = 0 };

/* The target of a conditional branch with a distance of four bytes (SDM vol. 2A, Jcc: 0F 80 to 0F
 * 8F) that may be at `code`; 0: there is none below `end`. */
static inline uintptr_t arch_conditional_branch(uintptr_t code, uintptr_t end)
{
    const uint8_t *bytes = (const uint8_t *)code;
    int32_t distance;
    if (end - code < 6 || bytes[0] != 0x0f || (bytes[1] & 0xf0) != 0x80)
        return 0;
    memcpy(&distance, bytes + 2, sizeof distance);
    return code + 6 + (uintptr_t)(intptr_t)distance;
}

/* A register of such a context by DWARF's number (psABI, figure 3.36); false if it has none. */
static inline bool arch_register(const void *context, unsigned number, uintptr_t *value)
{
    static const uint8_t places[] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI,
                                     REG_RBP, REG_RSP, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                     REG_R12, REG_R13, REG_R14, REG_R15};
    if (number >= sizeof places)
        return false;
    *value = (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[places[number]];
    return true;
}

/* A return address as it is stored: none is signed. */
static inline uintptr_t arch_return_address(uintptr_t value)
{
    return value;
}

/* The rule of code that has no unwind data, known by its instructions: none is. */
static inline bool arch_rule_of_code(struct readable *memory, uintptr_t pc,
                                     struct unwind_rule *rule)
{
    (void)memory, (void)pc, (void)rule;
    return false;
}

/* The context that the kernel has put on the stack, as seen from the code that the handler returns
 * to (arch/x86/kernel/signal_64.c, struct rt_sigframe: the return address has been popped). */
static inline uintptr_t arch_signal_context(const struct unwind_registers *registers)
{
    return registers->sp;
}

/* Bytes of it up to the last of those registers. */
#define ARCH_SIGNAL_CONTEXT (offsetof(ucontext_t, uc_mcontext.gregs) + sizeof(gregset_t))

#endif
