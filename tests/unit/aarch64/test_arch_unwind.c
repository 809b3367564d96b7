/* test_arch_unwind.c - code without unwind data, signed return addresses, and branches. */
#include "arch_unwind.h"
#include "support/support.h"

static struct readable memory;

static const struct known {
    const char *what;
    uint32_t words[4];
    enum rule_kind cfa; /* RULE_NONE: not known */
} known[] = {
    {"a signal's return", {0xd2801168, 0xd4000001, 0, 0}, RULE_SIGNAL},
    {"another system call", {0xd2801148, 0xd4000001, 0, 0}, RULE_NONE},
    {".plt", {0xb0000090, 0xf9400611, 0x91002210, 0xd61f0220}, RULE_STACK},
    {".plt, second word", {0xf9400611, 0x91002210, 0xd61f0220, 0xb0000090}, RULE_STACK},
    {".plt, third word", {0x91002210, 0xd61f0220, 0xb0000090, 0xf9400611}, RULE_STACK},
    {".plt, fourth word", {0xd61f0220, 0xb0000090, 0xf9400611, 0x91002210}, RULE_STACK},
    {"a jump by another register", {0xb0000090, 0xf9400611, 0x91002210, 0xd61f0200}, RULE_NONE},
    {"a call", {0xb0000090, 0xf9400611, 0x91002210, 0xd63f0220}, RULE_NONE},
    {"a stub", {0xd50323bf, 0x58007f50, 0xd61f0200, 0}, RULE_STACK},
    {"a stub, second word", {0x58007f50, 0xd61f0200, 0, 0}, RULE_STACK},
    {"a stub, third word", {0xd61f0200, 0, 0, 0}, RULE_STACK},
    {"another load", {0x58007f51, 0xd61f0200, 0, 0}, RULE_NONE},
    {"nothing", {0xd503201f, 0xd503201f, 0xd503201f, 0xd503201f}, RULE_NONE},
};

TEST(code_without_unwind_data)
{
    for (size_t i = 0; i < LENGTH_OF(known); i++) {
        struct unwind_rule rule;
        uintptr_t at = (uintptr_t)known[i].words;
        bool is_known = arch_rule_of_code(&memory, at, &rule);
        ck_assert_msg(is_known == (known[i].cfa != RULE_NONE), "%s", known[i].what);
        if (!is_known)
            continue;
        ck_assert_msg(rule_kind(rule.cfa) == known[i].cfa, "%s", known[i].what);
        ck_assert_int_eq(rule_value(rule.cfa), 0);
        ck_assert_int_eq(rule_kind(rule.base), RULE_SAME);
        ck_assert(arch_rule_of_code(&memory, at - 1, &rule)); /* as that of a call */
    }
}

TEST(memory_that_ends)
{
    struct unwind_rule rule;
    ck_assert(!arch_rule_of_code(&memory, 0, &rule));
    ck_assert(!arch_rule_of_code(&memory, UINTPTR_MAX - 2, &rule));
}

/* Signed by this CPU, if it does so; an address without a signature stays. */
TEST(signatures_are_taken_off)
{
    uintptr_t address = (uintptr_t)arch_return_address, stack = (uintptr_t)&address;
    ck_assert_uint_eq(arch_return_address(address), address);
    register uintptr_t x17 __asm__("x17") = address;
    register uintptr_t x16 __asm__("x16") = stack;
    __asm__("hint #8" : "+r"(x17) : "r"(x16)); /* pacia1716 */
    ck_assert_uint_eq(arch_return_address(x17), address);
}

TEST(conditional_branches)
{
    static const struct {
        uint32_t word;
        intptr_t distance; /* 0: no conditional branch */
    } rows[] = {
        {0x54000040, 8},         /* b.eq .+8 */
        {0x54ffffc1, -8},        /* b.ne .-8 */
        {0x547fffe2, 0xffffc},   /* b.hs, as far as it reaches */
        {0x54800003, -0x100000}, /* b.lo, as far as it reaches */
        {0xb4000041, 8},         /* cbz x1 */
        {0x35ffffe2, -4},        /* cbnz w2 */
        {0x3603ffe0, 0x7ffc},    /* tbz, as far as it reaches */
        {0xb7040000, -0x8000},   /* tbnz, as far as it reaches */
        {0x14000002, 0},         /* b */
        {0xd503201f, 0},
    };
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        uintptr_t at = (uintptr_t)&rows[i].word;
        uintptr_t target = arch_conditional_branch(at, at + 4);
        uintptr_t expected = rows[i].distance == 0 ? 0 : at + (uintptr_t)rows[i].distance;
        ck_assert_msg(target == expected, "%08x leads to %#lx, expected %#lx", rows[i].word, target,
                      expected);
        ck_assert_uint_eq(arch_conditional_branch(at, at + 3), 0);
        ck_assert_uint_eq(arch_conditional_branch(at + 1, at + 8), 0);
    }
}
