/* rule.h - how to get from one frame of machine code to its caller: what an .eh_frame says of one
 * instruction, in three words.
 *
 *     word   63                         4 3     0
 *           | offset or address, signed  | kind  |
 *
 * The return address is where the CPU's calls push it (ARCH_CFA_AT_ENTRY); code for which that is not
 * so has no rule. Two other registers are followed: the frame pointer, and the base pointer. On x86-64
 * that is rbx, in which glibc's _dl_runtime_resolve keeps its stack pointer. Where calls leave the
 * return address in a register (AArch64: x30), it is that one. */
#ifndef PYPERF_UNWIND_RULE_H
#define PYPERF_UNWIND_RULE_H

#include <stdint.h>

struct unwind_rule {
    uint64_t cfa;   /* NONE, END, SIGNAL, STACK, FRAME, REGISTER or EXPRESSION */
    uint64_t frame; /* the caller's frame pointer: SAME, AT_CFA, EXPRESSION or VALUE */
    uint64_t base;  /* its base pointer: SAME, AT_CFA or NONE */
};

enum rule_kind {
    RULE_NONE,   /* not known, or not expressible here */
    RULE_END,    /* the outermost frame */
    RULE_SIGNAL, /* a signal's frame: the kernel has put all registers on the stack */
    RULE_STACK,  /* stack pointer + offset */
    RULE_FRAME,  /* frame pointer + offset */
    /* another register + offset: of the innermost frame, whose registers are all known */
    RULE_REGISTER,
    /* a DWARF expression (its block, with its length) gives the CFA, or where the frame pointer
     * is */
    RULE_EXPRESSION,
    RULE_SAME,   /* as in this frame */
    RULE_AT_CFA, /* at CFA + offset */
    RULE_VALUE,  /* a DWARF expression gives the frame pointer itself */
};

static inline uint64_t rule_word(enum rule_kind kind, int64_t value)
{
    return (uint64_t)value << 4 | kind;
}

static inline struct unwind_rule rule_none(void)
{
    return (struct unwind_rule){rule_word(RULE_NONE, 0), rule_word(RULE_SAME, 0),
                                rule_word(RULE_SAME, 0)};
}

static inline enum rule_kind rule_kind(uint64_t word)
{
    return (enum rule_kind)(word & 15);
}

static inline int64_t rule_value(uint64_t word)
{
    return (int64_t)word >> 4;
}

/* The value of RULE_REGISTER: DWARF's number of the register, and the offset. */
static inline int64_t rule_based(uint64_t number, int64_t offset)
{
    return (int64_t)((uint64_t)offset * 32 + number % 32);
}

#endif
