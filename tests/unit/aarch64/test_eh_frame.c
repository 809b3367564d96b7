/* test_eh_frame.c - the rules of hand-made .eh_frame: where the return address is, and which registers are
 * followed. */
#include "support/frame_builder.h"

enum { X19 = 19, X29 = 29, X30 = 30, SP = 31 };

#define SAME     rule_word(RULE_SAME, 0)
#define AT(n)    rule_word(RULE_AT_CFA, n)
#define STACK(n) rule_word(RULE_STACK, n)

static struct frame_image image;

static void check(const char *what, size_t offset, uint64_t cfa, uint64_t frame, uint64_t address)
{
    struct unwind_rule rule = frame_rule(&image, offset);
    if (rule.cfa != cfa || rule.frame != frame || rule.base != address)
        ck_abort_msg("%s at %zu: %d %ld, %d %ld, %d %ld", what, offset, rule_kind(rule.cfa),
                     rule_value(rule.cfa), rule_kind(rule.frame), rule_value(rule.frame),
                     rule_kind(rule.base), rule_value(rule.base));
}

/* Builds an FDE of these instructions. */
#define PROGRAM(...)                                                                               \
    do {                                                                                           \
        const uint8_t bytes[] = {__VA_ARGS__};                                                     \
        image = frame_build(                                                                       \
            (struct frame_parts){.program = bytes, .program_size = sizeof bytes, .code_unit = 4}); \
    } while (0)

/* paciasp; stp x29, x30, [sp, -32]!; ... ldp x29, x30, [sp], 32; autiasp; ret */
TEST(a_function)
{
    PROGRAM(DW_CFA_advance_loc | 1, ARCH_DWARF_SIGNED, DW_CFA_advance_loc | 1,
            DW_CFA_def_cfa_offset, 32, DW_CFA_offset | X29, 4, DW_CFA_offset | X30, 3,
            DW_CFA_advance_loc | 10, DW_CFA_restore | X30, DW_CFA_restore | X29,
            DW_CFA_def_cfa_offset, 0, DW_CFA_advance_loc | 1, ARCH_DWARF_SIGNED);
    check("at its entry", 0, STACK(0), SAME, SAME);
    check("signed", 4, STACK(0), SAME, SAME);
    check("stored", 8, STACK(32), AT(-32), AT(-24));
    check("to its end", 47, STACK(32), AT(-32), AT(-24));
    check("restored", 48, STACK(0), SAME, SAME);
    check("authenticated", 52, STACK(0), SAME, SAME);
}

TEST(other_instructions)
{
    PROGRAM(DW_CFA_def_cfa, X29, 16, DW_CFA_offset | X29, 2, DW_CFA_offset | X30, 1);
    check("by x29", 0, rule_word(RULE_FRAME, 16), AT(-16), AT(-8));
    PROGRAM(DW_CFA_offset | X19, 2);
    check("x19 is not followed", 0, STACK(0), SAME, SAME);
    PROGRAM(DW_CFA_same_value, X30);
    check("in its register", 0, STACK(0), SAME, SAME);
    PROGRAM(DW_CFA_offset_extended, X30, 5);
    check("extended", 0, STACK(0), SAME, AT(-40));
    PROGRAM(DW_CFA_def_cfa, SP, 16, DW_CFA_offset | X30, 1, DW_CFA_remember_state,
            DW_CFA_restore | X30, DW_CFA_restore_state);
    check("remembered", 0, STACK(16), SAME, AT(-8));
}

TEST(where_it_ends)
{
    PROGRAM(DW_CFA_undefined, X30);
    check("no caller", 0, rule_word(RULE_END, 0), SAME, SAME);
    PROGRAM(DW_CFA_register, X30, 9);
    check("in another register", 0, rule_word(RULE_NONE, 0), SAME, SAME);
    PROGRAM(DW_CFA_val_offset, X30, 1);
    check("calculated", 0, rule_word(RULE_NONE, 0), SAME, SAME);
}

TEST(of_a_trampoline)
{
    image = frame_build((struct frame_parts){.program = arch_trampoline_unwind,
                                             .program_size = ARCH_TRAMPOLINE_UNWIND_SIZE,
                                             .code_unit = ARCH_DWARF_CODE_ALIGNMENT});
    for (size_t offset = 0; offset < ARCH_TRAMPOLINE_SIZE; offset++) {
        bool open = offset >= 8 && offset < 20;
        check("trampoline", offset, STACK(open ? 16 : 0), open ? AT(-16) : SAME,
              open ? AT(-8) : SAME);
    }
}
