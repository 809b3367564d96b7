/* hook_registers.h - the registers of a call, for test_hook.c (x86-64). */
#ifndef PYPERF_TEST_HOOK_REGISTERS_H
#define PYPERF_TEST_HOOK_REGISTERS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* In the order of hook.S. */
struct registers {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8_to_15[8];
    uint64_t xmm[16][2];
};

enum { HOOK_STACK_AT_ENTRY = 8 }; /* modulo 16: the call has pushed the return address */

static inline uint64_t *hook_argument(struct registers *registers, unsigned number)
{
    return number == 0 ? &registers->rdi : number == 1 ? &registers->rsi : &registers->rdx;
}

static inline uint64_t hook_stack_of(const struct registers *registers)
{
    return registers->rsp;
}

/* The name of a register that differs and must not: NULL for none. The fast path changes rax and rcx
 * alone; C may change all that a callee may (psABI, 3.2.1), but keeps the arguments. */
static inline const char *hook_changed(const struct registers *before,
                                       const struct registers *arrived, bool fast)
{
    if (arrived->rdi != before->rdi || arrived->rsi != before->rsi || arrived->rdx != before->rdx)
        return "an argument";
    if (arrived->rbx != before->rbx || arrived->rbp != before->rbp)
        return "rbx or rbp";
    for (int i = fast ? 0 : 4; i < 8; i++)
        if (arrived->r8_to_15[i] != before->r8_to_15[i])
            return "one of r8 to r15";
    return fast && memcmp(arrived->xmm, before->xmm, sizeof before->xmm) != 0 ? "an xmm" : NULL;
}

/* Changes all registers that a callee may. */
static inline void hook_clobber(void)
{
    __asm__ volatile("movq $-1, %%rax; movq %%rax, %%rcx; movq %%rax, %%rdx; movq %%rax, %%rsi\n\t"
                     "movq %%rax, %%rdi; movq %%rax, %%r8; movq %%rax, %%r9; movq %%rax, %%r10\n\t"
                     "movq %%rax, %%r11"
                     :
                     :
                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
}

#endif
