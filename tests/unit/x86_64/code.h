/* code.h - pieces of machine code for tests (x86-64). */
#ifndef PYPERF_TEST_CODE_H
#define PYPERF_TEST_CODE_H

#include <stdint.h>
#include <string.h>

/* Where user addresses end, as in /proc/self/maps. */
#define CODE_TOP "7ffffffff000"

/* An instruction that does nothing. */
#define CODE_NOTHING                                                                               \
    {                                                                                              \
        0x0f, 0x1f, 0x44, 0x00, 0x00                                                               \
    }

/* A function that returns a number from 0 to 127: mov $n, %eax; ret */
#define CODE_RETURN(n)                                                                             \
    {                                                                                              \
        0xb8, (n), 0, 0, 0, 0xc3                                                                   \
    }

/* One that returns its first argument + 1000: mov %rdi, %rax; add $1000, %rax; ret */
#define CODE_ADD_1000                                                                              \
    {                                                                                              \
        0x48, 0x89, 0xf8, 0x48, 0x05, 0xe8, 3, 0, 0, 0xc3                                          \
    }

/* endbr64; and the beginning of a stub, notrack jmp, whose target needs none. */
#define CODE_LANDING_PAD                                                                           \
    {                                                                                              \
        0xf3, 0x0f, 0x1e, 0xfa                                                                     \
    }
#define CODE_STUB                                                                                  \
    {                                                                                              \
        0x3e, 0xff, 0x25                                                                           \
    }
enum { CODE_STUB_AT = 0 };

/* Another tool's jump, and a debugger's breakpoint. */
#define CODE_FOREIGN                                                                               \
    {                                                                                              \
        0xe9, 0xe9, 0xe9, 0xe9, 0xe9                                                               \
    }
#define CODE_BREAKPOINT                                                                            \
    {                                                                                              \
        0xcc, 0xcc, 0xcc, 0xcc, 0xcc                                                               \
    }

/* target.S: what stays in front of a jump at these functions' entries, the first one's displaced bytes,
 * and how many bytes of a jump at crossing_site are on the first of two pages. */
enum { CODE_TARGET_KEPT = 1, CODE_TARGET_LENGTH = 8, CODE_COMPARING_KEPT = 8, CODE_CROSSING = 3 };
enum { CODE_COMPARING_IS_UNDONE = 0 };

static inline void code_put_nothing(uint8_t *out, size_t size)
{
    memset(out, 0x90, size); /* nop */
}

/* Writes, to run at `at`, an instruction that arch_undo undoes and a jump to `target`. Returns its
 * size. */
static inline size_t code_put_undone(uint8_t *out, uintptr_t at, uintptr_t target)
{
    static const uint8_t push[] = {0x57, 0xe9}; /* push %rdi; jmp */
    int32_t distance = (int32_t)(target - (at + sizeof push + sizeof distance));
    memcpy(out, push, sizeof push);
    memcpy(out + sizeof push, &distance, sizeof distance);
    return sizeof push + sizeof distance;
}

#endif
