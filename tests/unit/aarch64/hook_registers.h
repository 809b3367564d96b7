/* hook_registers.h - the registers of a call, for test_hook.c (AArch64). */
#ifndef PYPERF_TEST_HOOK_REGISTERS_H
#define PYPERF_TEST_HOOK_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* In the order of hook.S. */
struct registers {
    uint64_t x[30], sp, unused;
    uint64_t vector[32][2];
};

enum { HOOK_STACK_AT_ENTRY = 0 }; /* modulo 16 */

static inline uint64_t *hook_argument(struct registers *registers, unsigned number)
{
    return &registers->x[number];
}

static inline uint64_t hook_stack_of(const struct registers *registers)
{
    return registers->sp;
}

/* The name of a register that differs and must not: NULL for none. The fast path changes x9 to x16 alone;
 * C may change all that a callee may (AAPCS64, 6.1.1), but keeps the arguments. */
static inline const char *hook_changed(const struct registers *before,
                                       const struct registers *arrived, bool fast)
{
    if (memcmp(arrived->x, before->x, 3 * sizeof *before->x) != 0)
        return "an argument";
    if (memcmp(&arrived->x[19], &before->x[19], 11 * sizeof *before->x) != 0)
        return "one of x19 to x29";
    if (!fast)
        return NULL;
    if (memcmp(&arrived->x[3], &before->x[3], 6 * sizeof *before->x) != 0)
        return "one of x3 to x8";
    if (arrived->x[17] != before->x[17] || arrived->x[18] != before->x[18])
        return "x17 or x18";
    return memcmp(arrived->vector, before->vector, sizeof before->vector) != 0 ? "a vector" : NULL;
}

/* Changes all general registers that a callee may; not x18, which is the platform's. */
static inline void hook_clobber(void)
{
    __asm__ volatile("mov x0, #-1; mov x1, x0; mov x2, x0; mov x3, x0; mov x4, x0; mov x5, x0\n\t"
                     "mov x6, x0; mov x7, x0; mov x8, x0; mov x9, x0; mov x10, x0; mov x11, x0\n\t"
                     "mov x12, x0; mov x13, x0; mov x14, x0; mov x15, x0; mov x16, x0; mov x17, x0"
                     :
                     :
                     : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
                       "x12", "x13", "x14", "x15", "x16", "x17", "cc");
}

#endif
