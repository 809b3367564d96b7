/* code.h - pieces of machine code for tests (AArch64; x86_64/code.h says what they are). */
#ifndef PYPERF_TEST_CODE_H
#define PYPERF_TEST_CODE_H

#include <stdint.h>
#include <string.h>

#include "arch.h"

#define CODE_TOP "fffffffff000"

#define CODE_NOTHING                                                                               \
    {                                                                                              \
        0x1f, 0x20, 0x03, 0xd5 /* nop */                                                           \
    }

/* mov w0, n; ret */
#define CODE_RETURN(n)                                                                             \
    {                                                                                              \
        (uint8_t)((n) << 5), (uint8_t)((n) >> 3), 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6               \
    }

/* add x0, x0, 1000; ret */
#define CODE_ADD_1000                                                                              \
    {                                                                                              \
        0x00, 0xa0, 0x0f, 0x91, 0xc0, 0x03, 0x5f, 0xd6                                             \
    }

/* bti c; and the end of a stub, br x16, in a page that is not guarded. */
#define CODE_LANDING_PAD                                                                           \
    {                                                                                              \
        0x5f, 0x24, 0x03, 0xd5                                                                     \
    }
#define CODE_STUB                                                                                  \
    {                                                                                              \
        0x00, 0x02, 0x1f, 0xd6                                                                     \
    }
enum { CODE_STUB_AT = 4 };

/* b; brk 0 */
#define CODE_FOREIGN                                                                               \
    {                                                                                              \
        0x08, 0x00, 0x00, 0x14                                                                     \
    }
#define CODE_BREAKPOINT                                                                            \
    {                                                                                              \
        0x00, 0x00, 0x20, 0xd4                                                                     \
    }

/* A jump is one word, so none is on two pages. */
enum { CODE_TARGET_KEPT = 0, CODE_TARGET_LENGTH = 4, CODE_COMPARING_KEPT = 4, CODE_CROSSING = 4 };
enum { CODE_COMPARING_IS_UNDONE = 1 };

static inline void code_put_nothing(uint8_t *out, size_t size)
{
    static const uint8_t nop[] = CODE_NOTHING;
    for (size_t at = 0; at < size; at += sizeof nop)
        memcpy(out + at, nop, sizeof nop);
}

static inline size_t code_put_undone(uint8_t *out, uintptr_t at, uintptr_t target)
{
    const uint32_t words[] = {0xd503233f, /* paciasp */
                              arch_branch(0x14000000, at + sizeof(uint32_t), target)};
    memcpy(out, words, sizeof words);
    return sizeof words;
}

#endif
