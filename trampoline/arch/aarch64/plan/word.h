/* word.h - what one instruction is to the plan of a detour: a word of 32 bits, little-endian wherever
 * Linux runs, told apart by masks (Arm ARM, C4.1). */
#ifndef PYPERF_WORD_H
#define PYPERF_WORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { WORD = 4 };

enum word_kind {
    WORD_OTHER,       /* none of those below */
    WORD_BRANCH,      /* b */
    WORD_CALL,        /* bl */
    WORD_CONDITIONAL, /* b.cond, bc.cond, cbz, cbnz, tbz, tbnz */
    WORD_INDIRECT,    /* br, blr, ret, and those that authenticate */
    WORD_ADR,
    WORD_ADRP,
    WORD_LITERAL,    /* ldr and ldrsw of a general register, prfm, ldr of a vector register */
    WORD_SIGN,       /* paciasp, pacibsp */
    WORD_PAD,        /* bti, of any kind */
    WORD_NOTHING,    /* nop */
    WORD_STORE_PAIR, /* stp of 8-byte registers to sp + n, or with sp lowered before */
    WORD_STORE,      /* str of an 8-byte general register to sp + n, or with sp lowered before */
    WORD_STORE_ELSEWHERE, /* str, strh, strb to another register's address + n */
    WORD_LOAD,            /* ldr of a general register from a register's address + n */
    WORD_LOWER,           /* sub sp, sp, n */
    WORD_FRAME,           /* add x29, sp, n; mov x29, sp */
    WORD_COMPARE,         /* cmp, cmn, tst: change flags alone */
    WORD_COMPUTE,         /* arithmetic and logic, with a constant or a shifted register */
    WORD_BREAKPOINT,      /* brk */
};

static inline uint32_t word_at(const uint8_t *code)
{
    uint32_t word;
    memcpy(&word, code, sizeof word);
    return word;
}

/* `count` bits of a word from bit `first` on, as a signed number. */
static inline int64_t word_signed(uint32_t word, unsigned first, unsigned count)
{
    return (int32_t)(word << (32 - first - count)) >> (32 - count);
}

/* The register in the lowest five bits: a destination, or what is stored or tested. */
static inline unsigned word_register(uint32_t word)
{
    return word & 31;
}

enum word_kind word_kind(uint32_t word);

/* Its mnemonic, for messages; "?" for WORD_OTHER. */
const char *word_name(uint32_t word);

/* Where a WORD_BRANCH, WORD_CALL, WORD_CONDITIONAL, WORD_ADR, WORD_ADRP or WORD_LITERAL at `address`
 * leads. */
uintptr_t word_target(uint32_t word, uintptr_t address);

#endif
