/* test_eh_frame.c - the rules of hand-made .eh_frame: each encoding and each instruction. */
#include "arch.h"
#include "support/frame_builder.h"

static struct frame_image image;

static void check(const char *what, size_t offset, struct unwind_rule expected)
{
    struct unwind_rule rule = frame_rule(&image, offset);
    if (rule.cfa != expected.cfa || rule.frame != expected.frame)
        ck_abort_msg("%s at %zu: %d %ld, %d %ld; expected %d %ld, %d %ld", what, offset,
                     rule_kind(rule.cfa), rule_value(rule.cfa), rule_kind(rule.frame),
                     rule_value(rule.frame), rule_kind(expected.cfa), rule_value(expected.cfa),
                     rule_kind(expected.frame), rule_value(expected.frame));
}

#define SAME     rule_word(RULE_SAME, 0)
#define STACK(n) rule_word(RULE_STACK, n)
#define FRAME(n) rule_word(RULE_FRAME, n)
#define AT(n)    rule_word(RULE_AT_CFA, n)
#define RULE(cfa, frame)                                                                           \
    (struct unwind_rule)                                                                           \
    {                                                                                              \
        cfa, frame, 0                                                                              \
    }
#define NONE RULE(rule_word(RULE_NONE, 0), SAME)

/* Builds an FDE of these instructions. */
#define PROGRAM(...)                                                                               \
    do {                                                                                           \
        const uint8_t bytes[] = {__VA_ARGS__};                                                     \
        image = frame_build((struct frame_parts){.program = bytes, .program_size = sizeof bytes}); \
    } while (0)

/* The rule that the instructions give at the function's first byte. */
#define GIVES(cfa, frame, ...)                                                                     \
    do {                                                                                           \
        PROGRAM(__VA_ARGS__);                                                                      \
        check(#__VA_ARGS__, 0, RULE(cfa, frame));                                                  \
    } while (0)
#define GIVES_NONE(...) GIVES(rule_word(RULE_NONE, 0), SAME, __VA_ARGS__)

TEST(bounds_of_a_function)
{
    PROGRAM(DW_CFA_nop);
    check("first", 0, RULE(STACK(8), SAME));
    check("last", FRAME_CODE_SIZE - 1, RULE(STACK(8), SAME));
    check("behind", FRAME_CODE_SIZE, NONE);
    check("before", (size_t)-1, NONE);
    struct eh_frame_function function;
    ck_assert(eh_frame_find(image.header, image.end, image.code + 5, &function));
    ck_assert_uint_eq(function.begin, image.code);
    ck_assert_uint_eq(function.end, image.code + FRAME_CODE_SIZE);
    ck_assert_uint_eq(function.fde, image.header + image.fde);
}

/* The usual: push %rbp; mov %rsp, %rbp; ...; pop %rbp; ret; and what is behind the ret. */
TEST(rows_begin_where_they_say)
{
    PROGRAM(DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16, DW_CFA_offset | 6, 2,
            DW_CFA_advance_loc | 3, DW_CFA_def_cfa_register, 6, DW_CFA_advance_loc1, 200,
            DW_CFA_remember_state, DW_CFA_restore | 6, DW_CFA_def_cfa, 7, 8, DW_CFA_advance_loc | 1,
            DW_CFA_restore_state);
    check("entry", 0, RULE(STACK(8), SAME));
    check("pushed", 1, RULE(STACK(16), AT(-16)));
    check("pushed", 3, RULE(STACK(16), AT(-16)));
    check("body", 4, RULE(FRAME(16), AT(-16)));
    check("body", 203, RULE(FRAME(16), AT(-16)));
    check("popped", 204, RULE(STACK(8), SAME));
    check("behind ret", 205, RULE(FRAME(16), AT(-16)));
}

TEST(instructions_on_the_cfa)
{
    GIVES(STACK(8), SAME, DW_CFA_nop);
    GIVES(FRAME(300), SAME, DW_CFA_def_cfa, 6, 0xac, 0x02);
    GIVES(STACK(24), SAME, DW_CFA_def_cfa_sf, 7, 0x7d); /* -3 units of -8 */
    GIVES(FRAME(8), SAME, DW_CFA_def_cfa_register, 6);
    GIVES(STACK(40), SAME, DW_CFA_def_cfa_offset, 40);
    GIVES(STACK(40), SAME, DW_CFA_def_cfa_offset_sf, 0x7b);
    GIVES(rule_word(RULE_REGISTER, rule_based(10, 0)), SAME, DW_CFA_def_cfa, 10, 0);
    GIVES(rule_word(RULE_REGISTER, rule_based(3, 16)), SAME, DW_CFA_def_cfa, 3, 16);
    GIVES(rule_word(RULE_REGISTER, rule_based(3, -8)), SAME, DW_CFA_def_cfa_sf, 3, 1);
    ck_assert_int_eq(rule_based(3, -8) >> 5, -8);
    PROGRAM(DW_CFA_def_cfa_expression, 2, 0x77, 8);
    check("expression", 0,
          RULE(rule_word(RULE_EXPRESSION, (int64_t)(image.header + image.program + 1)), SAME));
}

/* Registers that this CPU does not have are not mistaken for others. */
TEST(registers_that_there_are_not)
{
    GIVES_NONE(DW_CFA_def_cfa, 32 + 7, 8);
    GIVES_NONE(DW_CFA_def_cfa, 0x83, 0x01, 8); /* 131 */
    GIVES(STACK(8), SAME, DW_CFA_offset_extended, 0x86, 0x01, 3);
}

TEST(instructions_on_the_frame_pointer)
{
    GIVES(STACK(8), AT(-16), DW_CFA_offset | 6, 2);
    GIVES(STACK(8), AT(-1600), DW_CFA_offset | 6, 0xc8, 0x01);
    GIVES(STACK(8), AT(-24), DW_CFA_offset_extended, 6, 3);
    GIVES(STACK(8), AT(8), DW_CFA_offset_extended_sf, 6, 0x7f);
    GIVES(STACK(8), SAME, DW_CFA_offset | 6, 2, DW_CFA_restore | 6);
    GIVES(STACK(8), SAME, DW_CFA_offset | 6, 2, DW_CFA_restore_extended, 6);
    GIVES(STACK(8), SAME, DW_CFA_offset | 6, 2, DW_CFA_same_value, 6);
    GIVES(STACK(8), SAME, DW_CFA_offset | 6, 2, DW_CFA_undefined, 6);
    GIVES_NONE(DW_CFA_register, 6, 3);
    GIVES_NONE(DW_CFA_val_offset, 6, 3);
    GIVES_NONE(DW_CFA_val_offset_sf, 6, 3);
    PROGRAM(DW_CFA_expression, 6, 2, 0x76, 0, DW_CFA_def_cfa_offset, 16);
    int64_t block = (int64_t)(image.header + image.program + 2);
    check("expression", 0, RULE(STACK(16), rule_word(RULE_EXPRESSION, block)));
    PROGRAM(DW_CFA_val_expression, 6, 2, 0x76, 0, DW_CFA_def_cfa_offset, 16);
    check("value", 0, RULE(STACK(16), rule_word(RULE_VALUE, block)));
}

/* They are read over, with all of their operands. */
TEST(instructions_on_other_registers)
{
    GIVES(STACK(16), SAME, DW_CFA_offset | 3, 2, DW_CFA_offset_extended, 12, 3,
          DW_CFA_offset_extended_sf, 13, 0x7f, DW_CFA_restore | 3, DW_CFA_restore_extended, 12,
          DW_CFA_undefined, 13, DW_CFA_same_value, 14, DW_CFA_register, 14, 15, DW_CFA_expression,
          15, 2, 0x76, 0, DW_CFA_val_expression, 15, 1, 0x30, DW_CFA_val_offset, 3, 2,
          DW_CFA_val_offset_sf, 3, 0x7e, DW_CFA_GNU_args_size, 0x80, 1, DW_CFA_def_cfa_offset, 16);
}

TEST(return_address)
{
    GIVES(rule_word(RULE_END, 0), SAME, DW_CFA_undefined, 16);
    GIVES_NONE(DW_CFA_offset | 16, 2);
    GIVES_NONE(DW_CFA_register, 16, 3);
    GIVES_NONE(DW_CFA_same_value, 16);
    GIVES_NONE(DW_CFA_expression, 16, 1, 0x30);
    GIVES(STACK(8), SAME, DW_CFA_offset | 16, 2, DW_CFA_restore | 16);
    GIVES(STACK(8), SAME, DW_CFA_undefined, 16, DW_CFA_offset | 16, 1);
}

TEST(remembered_rows)
{
    GIVES(STACK(8), SAME, DW_CFA_remember_state, DW_CFA_remember_state, DW_CFA_def_cfa_offset, 32,
          DW_CFA_offset | 6, 2, DW_CFA_restore_state, DW_CFA_def_cfa_offset, 48, DW_CFA_undefined,
          16, DW_CFA_restore_state);
    GIVES(FRAME(24), SAME, DW_CFA_remember_state, DW_CFA_def_cfa_expression, 1, 0x77,
          DW_CFA_restore_state, DW_CFA_def_cfa, 6, 24);
    GIVES_NONE(DW_CFA_restore_state);
    GIVES_NONE(DW_CFA_remember_state, DW_CFA_restore_state, DW_CFA_restore_state);
    uint8_t many[64];
    memset(many, DW_CFA_remember_state, sizeof many); /* more than are kept */
    image = frame_build((struct frame_parts){.program = many, .program_size = sizeof many});
    check("many", 0, NONE);
}

TEST(locations)
{
    PROGRAM(DW_CFA_advance_loc2, 0x2c, 0x01, DW_CFA_def_cfa_offset, 16, DW_CFA_advance_loc4, 100, 0,
            0, 0, DW_CFA_def_cfa_offset, 24);
    check("before", 299, RULE(STACK(8), SAME));
    check("first", 300, RULE(STACK(16), SAME));
    check("before", 399, RULE(STACK(16), SAME));
    check("second", 400, RULE(STACK(24), SAME));
    /* Relative to where the pointer is. */
    PROGRAM(DW_CFA_set_loc, 0, 0, 0, 0, DW_CFA_def_cfa_offset, 16);
    uintptr_t here = image.header + image.program + 1;
    uint32_t distance = (uint32_t)(image.code + 77 - here);
    uint8_t bytes[] = {DW_CFA_set_loc, 0, 0, 0, 0, DW_CFA_def_cfa_offset, 16};
    memcpy(bytes + 1, &distance, sizeof distance);
    image = frame_build((struct frame_parts){.program = bytes, .program_size = sizeof bytes});
    check("before", 76, RULE(STACK(8), SAME));
    check("set", 77, RULE(STACK(16), SAME));
    static const uint8_t units[] = {DW_CFA_advance_loc | 3, DW_CFA_def_cfa_offset, 16};
    image = frame_build(
        (struct frame_parts){.code_unit = 4, .program = units, .program_size = sizeof units});
    check("before", 11, RULE(STACK(8), SAME));
    check("in units", 12, RULE(STACK(16), SAME));
}

static const uint8_t lowered[] = {DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, 16};

static void check_lowered(const char *what, struct frame_parts parts)
{
    parts.program = lowered;
    parts.program_size = sizeof lowered;
    image = frame_build(parts);
    check(what, 0, RULE(STACK(8), SAME));
    check(what, 1, RULE(STACK(16), SAME));
    check(what, FRAME_CODE_SIZE, NONE);
}

TEST(encodings_of_pointers)
{
    static const uint8_t forms[] = {DW_EH_PE_absptr, DW_EH_PE_udata8, DW_EH_PE_sdata8};
    for (size_t i = 0; i < LENGTH_OF(forms); i++) {
        check_lowered("absolute", (struct frame_parts){.augmentation = "zR", .encoding = forms[i]});
        check_lowered("relative", (struct frame_parts){.encoding = forms[i] | DW_EH_PE_pcrel});
    }
    check_lowered("sdata4", (struct frame_parts){.encoding = DW_EH_PE_pcrel | DW_EH_PE_sdata4});
    static const uint8_t refused[] = {
        DW_EH_PE_pcrel | 1, DW_EH_PE_pcrel | 5, DW_EH_PE_omit, 0x2b, 0x4b, 0x50};
    for (size_t i = 0; i < LENGTH_OF(refused); i++) {
        image = frame_build((struct frame_parts){
            .encoding = refused[i], .program = lowered, .program_size = sizeof lowered});
        check("refused", 1, NONE);
    }
}

TEST(augmentations)
{
    static const uint8_t encoding = DW_EH_PE_pcrel | DW_EH_PE_sdata4;
    static const char *const known[] = {"zR", "zPLR", "zLR", "zPR", "zRL", "zRB", "zLRx"};
    for (size_t i = 0; i < LENGTH_OF(known); i++)
        check_lowered(known[i],
                      (struct frame_parts){.augmentation = known[i], .encoding = encoding});
    check_lowered("none", (struct frame_parts){.augmentation = "", .encoding = DW_EH_PE_absptr});
    check_lowered("version 3", (struct frame_parts){.version = 3});
    image = frame_build((struct frame_parts){
        .augmentation = "zRS", .encoding = encoding, .program = lowered, .program_size = 3});
    check("signal", 1, RULE(rule_word(RULE_SIGNAL, 0), SAME));
    static const char *const refused[] = {"eh", "R", "zRRRRRRRR"};
    for (size_t i = 0; i < LENGTH_OF(refused); i++) {
        image = frame_build((struct frame_parts){.augmentation = refused[i],
                                                 .encoding = encoding,
                                                 .program = lowered,
                                                 .program_size = 3});
        check(refused[i], 1, NONE);
    }
}

/* The return address in another column is another CPU's, or hand-made. */
TEST(other_return_address)
{
    image = frame_build((struct frame_parts){.address_register = 15});
    check("column 15", 0, NONE);
}

TEST(initial_instructions)
{
    static const uint8_t initial[] = {DW_CFA_def_cfa, 6, 16, DW_CFA_offset | 6, 2, 0x90, 1},
                         program[] = {DW_CFA_offset | 6, 5, DW_CFA_restore | 6};
    image = frame_build((struct frame_parts){.initial = initial,
                                             .initial_size = sizeof initial,
                                             .program = program,
                                             .program_size = sizeof program});
    check("restored", 0, RULE(FRAME(16), AT(-16)));
}

TEST(trampolines)
{
    image = frame_build((struct frame_parts){.program = arch_trampoline_unwind,
                                             .program_size = ARCH_TRAMPOLINE_UNWIND_SIZE});
    uintptr_t program = image.header + image.program;
    struct unwind_rule expected = {
        rule_word(RULE_EXPRESSION, (int64_t)(program + 1)),
        rule_word(RULE_VALUE, (int64_t)(program + ARCH_TRAMPOLINE_CFA_SIZE + 2)), 0};
    check("linked", 5, expected);
    image = frame_build((struct frame_parts){.program = arch_trampoline_unwind,
                                             .program_size = ARCH_TRAMPOLINE_CFA_SIZE});
    program = image.header + image.program;
    check("unlinked", 5, RULE(rule_word(RULE_EXPRESSION, (int64_t)(program + 1)), SAME));
}

/* GCC's prologue of a function that realigns its stack (DRAP). */
TEST(realigned_stack)
{
    PROGRAM(DW_CFA_advance_loc | 5, DW_CFA_def_cfa, 10, 0, DW_CFA_advance_loc | 14,
            DW_CFA_expression, 6, 2, 0x76, 0, DW_CFA_advance_loc | 2, DW_CFA_def_cfa_expression, 3,
            0x76, 0x78, DW_OP_deref);
    int64_t program = (int64_t)(image.header + image.program);
    check("entry", 4, RULE(STACK(8), SAME));
    check("in r10", 5, RULE(rule_word(RULE_REGISTER, rule_based(10, 0)), SAME));
    uint64_t frame = rule_word(RULE_EXPRESSION, program + 7);
    check("pushed", 19, RULE(rule_word(RULE_REGISTER, rule_based(10, 0)), frame));
    check("body", 21, RULE(rule_word(RULE_EXPRESSION, program + 12), frame));
}
