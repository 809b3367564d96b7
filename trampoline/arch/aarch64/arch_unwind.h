/* arch_unwind.h - the registers of a signal's frame, and the return address, for
 * trampoline/unwind. */
#ifndef PYPERF_ARCH_UNWIND_H
#define PYPERF_ARCH_UNWIND_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "trampoline/base/readable.h"
#include "trampoline/unwind/expression.h"
#include "trampoline/unwind/rule.h"

/* The registers that a signal handler's third argument has; `base` is x30, the return address. */
static inline struct unwind_registers arch_interrupted(const void *context)
{
    const mcontext_t *registers = &((const ucontext_t *)context)->uc_mcontext;
    return (struct unwind_registers){registers->pc, registers->sp, registers->regs[29],
                                     registers->regs[30]};
}

/* A frame pointer of 0 marks the first frame of a thread (AAPCS64, 6.4.6): the _start of glibc before 2.34
 * has no unwind data that say so. */
enum { ARCH_FRAME_POINTER_ENDS = 1 };

/* The target of a conditional branch that may be at `code` (Arm ARM, C6.2: B.cond, CBZ and CBNZ with 19
 * bits of words, TBZ and TBNZ with 14); 0: there is none below `end`. */
static inline uintptr_t arch_conditional_branch(uintptr_t code, uintptr_t end)
{
    uint32_t word;
    if ((code & 3) != 0 || end - code < sizeof word)
        return 0;
    memcpy(&word, (const void *)code, sizeof word);
    unsigned unused;
    if ((word & 0xff000000) == 0x54000000 || (word & 0x7e000000) == 0x34000000)
        unused = 8;
    else if ((word & 0x7e000000) == 0x36000000)
        unused = 13;
    else
        return 0;
    int32_t distance = (int32_t)(word << unused) >> (unused + 5);
    return code + (uintptr_t)((intptr_t)distance * 4);
}

/* A register of such a context by DWARF's number (AADWARF64, 4.1): x0 to x30, and sp; false if it has
 * none. */
static inline bool arch_register(const void *context, unsigned number, uintptr_t *value)
{
    const mcontext_t *registers = &((const ucontext_t *)context)->uc_mcontext;
    if (number > 31)
        return false;
    *value = number == 31 ? registers->sp : registers->regs[number];
    return true;
}

/* A return address without its signature, which is in the bits that no address of code has. xpaclri
 * (hint 7) takes it off x30, and does nothing on a CPU without signatures (Arm ARM, C6.2, XPACLRI). */
static inline uintptr_t arch_return_address(uintptr_t value)
{
    register uintptr_t x30 __asm__("x30") = value;
    __asm__("hint #7" : "+r"(x30));
    return x30;
}

/* The rule of code that has no unwind data, known by its words; false for any other. `pc` may be a byte
 * less than its address, as that of a call.
 *   - what a signal handler returns to: mov x8, __NR_rt_sigreturn; svc 0 (Linux,
 *     arch/arm64/kernel/vdso/sigreturn.S);
 *   - an entry of .plt, in which nothing is stored and x30 is the caller's (AAELF64, 5.7.13.4, as linkers
 *     write it): adrp x16; ldr x17; add x16; br x17;
 *   - a stub at a function's entry (detour_place.c): autiasp; ldr x16; br x16. */
static inline bool arch_rule_of_code(struct readable *memory, uintptr_t pc,
                                     struct unwind_rule *rule)
{
    enum { RETURN_1 = 0xd2801168, RETURN_2 = 0xd4000001 };
    enum {
        LDR_X17 = 0xf9400211,
        ADD_X16 = 0x91000210,
        BR_X17 = 0xd61f0220,
        CONSTANT = 0xfff << 10
    };
    enum { AUTIASP = 0xd50323bf, LDR_X16_LITERAL = 0x58000010, LITERAL_MASK = 0xff00001f };
    enum { BR_X16 = 0xd61f0200 };
    uintptr_t code = (pc + 3) & ~(uintptr_t)3;
    uint32_t words[4];
    if (!readable(memory, code, sizeof words))
        return false;
    memcpy(words, (const void *)code, sizeof words);
    *rule = rule_none();
    if (words[0] == RETURN_1 && words[1] == RETURN_2) {
        rule->cfa = rule_word(RULE_SIGNAL, 0);
        return true;
    }
    size_t at = 0;
    if ((words[at] & 0x9f00001f) == 0x90000010) /* adrp x16 */
        at++;
    if ((words[at] & ~(uint32_t)CONSTANT) == LDR_X17)
        at++;
    if ((words[at] & ~(uint32_t)CONSTANT) == ADD_X16)
        at++;
    rule->cfa = rule_word(RULE_STACK, 0);
    if (words[at] == BR_X17)
        return true;
    at = words[0] == AUTIASP;
    if ((words[at] & LITERAL_MASK) == LDR_X16_LITERAL)
        at++;
    return words[at] == BR_X16;
}

/* The context that the kernel has put on the stack, as seen from the code that the handler returns to
 * (arch/arm64/kernel/signal.c, struct rt_sigframe: a siginfo_t is before it). */
static inline uintptr_t arch_signal_context(const struct unwind_registers *registers)
{
    return registers->sp + sizeof(siginfo_t);
}

/* Bytes of it up to the last of those registers. */
#define ARCH_SIGNAL_CONTEXT                                                                        \
    (offsetof(ucontext_t, uc_mcontext.pc) + sizeof(((ucontext_t *)0)->uc_mcontext.pc))

#endif
