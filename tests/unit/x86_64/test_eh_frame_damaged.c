/* test_eh_frame_damaged.c - .eh_frame that is cut off, damaged or hostile, where memory ends: no
 * rule, and no fault. */
#include "support/frame_builder.h"

static const uint8_t program[] = {DW_CFA_advance_loc | 1,
                                  DW_CFA_def_cfa_offset,
                                  16,
                                  DW_CFA_offset | 6,
                                  2,
                                  DW_CFA_remember_state,
                                  DW_CFA_advance_loc1,
                                  4,
                                  DW_CFA_def_cfa,
                                  6,
                                  16,
                                  DW_CFA_advance_loc2,
                                  4,
                                  0,
                                  DW_CFA_expression,
                                  6,
                                  2,
                                  0x76,
                                  0,
                                  DW_CFA_advance_loc4,
                                  4,
                                  0,
                                  0,
                                  0,
                                  DW_CFA_restore_state,
                                  DW_CFA_val_expression,
                                  6,
                                  2,
                                  0x76,
                                  0x80};
static struct frame_image image;

static void build(const char *augmentation)
{
    image = frame_build((struct frame_parts){.augmentation = augmentation,
                                             .encoding = DW_EH_PE_pcrel | DW_EH_PE_sdata4,
                                             .program = program,
                                             .program_size = sizeof program});
}

/* Finds all rules, and evaluates their expressions. */
static int count_rules(void)
{
    int count = 0;
    for (size_t offset = 0; offset < 20; offset++) {
        uintptr_t result;
        bool from_memory;
        struct unwind_registers registers = {
            .pc = image.code, .sp = 0x1000, .fp = (uintptr_t)guarded_end() - 8};
        struct unwind_rule rule = frame_rule(&image, offset);
        count += rule_kind(rule.cfa) != RULE_NONE;
        if (rule_kind(rule.cfa) == RULE_EXPRESSION)
            unwind_expression((uintptr_t)rule_value(rule.cfa), &registers, false, 0, &result,
                              &from_memory);
        if (rule_kind(rule.frame) == RULE_EXPRESSION || rule_kind(rule.frame) == RULE_VALUE)
            unwind_expression((uintptr_t)rule_value(rule.frame), &registers, true, 0, &result,
                              &from_memory);
    }
    return count;
}

static const char *const augmentations[] = {"zR", "zPLR", "zRS"};

/* Memory ends earlier than the section. The rows in front of that are whole. */
TEST_FOR_EACH(truncated, LENGTH_OF(augmentations))
{
    struct unwind_rule rules[20];
    build(augmentations[_i]);
    ck_assert_int_eq(count_rules(), 20);
    for (size_t offset = 0; offset < 20; offset++)
        rules[offset] = frame_rule(&image, offset);
    const struct frame_image whole = image;
    for (size_t size = 0; size < whole.size; size++) {
        uintptr_t moved = guarded_copy(whole.bytes, size) - whole.header;
        image.header = whole.header + moved;
        image.end = whole.end + moved;
        image.code = whole.code + moved;
        int count = count_rules();
        ck_assert_msg(count == 0 || size >= whole.program, "%zu of %zu bytes give a rule", size,
                      whole.size);
        for (size_t offset = 0; offset < 20; offset++) {
            enum rule_kind kind = rule_kind(frame_rule(&image, offset).cfa);
            ck_assert_msg(kind == RULE_NONE || kind == rule_kind(rules[offset].cfa),
                          "%zu of %zu bytes give another rule", size, whole.size);
        }
    }
}

/* The section ends earlier than memory: what is behind is not read. */
TEST_FOR_EACH(outside_of_its_section, LENGTH_OF(augmentations))
{
    build(augmentations[_i]);
    const uintptr_t end = image.end;
    for (image.end = image.header; image.end < end; image.end++)
        ck_assert_msg(count_rules() == 0, "%lu bytes give a rule", image.end - image.header);
}

TEST_FOR_EACH(each_byte_damaged, LENGTH_OF(augmentations))
{
    static const uint8_t others[] = {0, 1, 0x7f, 0x80, 0xff};
    build(augmentations[_i]);
    uint8_t *bytes = (uint8_t *)image.header;
    for (size_t at = 0; at < image.size; at++) {
        for (size_t i = 0; i < LENGTH_OF(others) + 8; i++) {
            bytes[at] = i < LENGTH_OF(others)
                            ? others[i]
                            : (uint8_t)(image.bytes[at] ^ 1 << (i - LENGTH_OF(others)));
            count_rules();
        }
        bytes[at] = image.bytes[at];
    }
    ck_assert_int_eq(count_rules(), 20);
}

static void put(size_t at, uint64_t value, size_t size)
{
    memcpy((uint8_t *)image.header + at, &value, size);
}

TEST(lengths_of_entries)
{
    static const uint32_t lengths[] = {0, 1, 3, 4, 0xffffffff, 0xfffffff0, 0x7fffffff, 0x10000};
    for (size_t i = 0; i < LENGTH_OF(lengths); i++) {
        build("zR");
        put(image.cie, lengths[i], 4);
        ck_assert_msg(count_rules() == 0, "CIE of %#x bytes", lengths[i]);
        build("zR");
        put(image.fde, lengths[i], 4);
        ck_assert_msg(count_rules() == 0, "FDE of %#x bytes", lengths[i]);
    }
}

/* No CIE, an FDE in place of a CIE, and a CIE elsewhere. */
TEST(pointers_to_the_cie)
{
    static const uint32_t distances[] = {0, 4, 0xffffffff, 0x80000000, 0x7fffffff};
    for (size_t i = 0; i < LENGTH_OF(distances); i++) {
        build("zR");
        put(image.fde + 4, distances[i], 4);
        ck_assert_msg(count_rules() == 0, "distance %#x", distances[i]);
    }
}

TEST(tables)
{
    build("zR");
    put(image.table - 4, 0, 4); /* empty */
    ck_assert_int_eq(count_rules(), 0);
    static const uint32_t counts[] = {1000, 0x7fffffff, 0xffffffff};
    for (size_t i = 0; i < LENGTH_OF(counts); i++) {
        build("zR");
        put(image.table - 4, counts[i], 4);
        ck_assert_msg(count_rules() == 0, "%#x functions", counts[i]);
    }
    static const uint32_t places[] = {0, 0xffffffff, 0x7fffffff, 0x80000000};
    for (size_t i = 0; i < LENGTH_OF(places); i++) {
        build("zR");
        put(image.table + 4, places[i], 4);
        ck_assert_msg(count_rules() == 0, "FDE at %#x", places[i]);
    }
    for (size_t at = 0; at < 4; at++) { /* version and encodings */
        build("zR");
        put(at, image.bytes[at] ^ 2, 1);
        ck_assert_msg(count_rules() == 0 || at == 1, "byte %zu", at);
    }
}

/* A size of augmentation data that leads in front of itself, where bytes happen to be
 * instructions. */
TEST(sizes_of_augmentations)
{
    static const uint8_t back[] = {0xf0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    static const uint8_t nothing[16];
    image = frame_build((struct frame_parts){.program = nothing, .program_size = sizeof nothing});
    ck_assert_int_eq(count_rules(), 20);
    memcpy((uint8_t *)image.header + image.program - 1, back, sizeof back);
    ck_assert_int_eq(count_rules(), 0);
    image = frame_build((struct frame_parts){.initial = nothing, .initial_size = sizeof nothing});
    memcpy((uint8_t *)image.header + image.cie + 15, back, sizeof back);
    ck_assert_int_eq(count_rules(), 0);
}

/* Nothing at all there. */
TEST(no_memory)
{
    build("zR");
    image.header = (uintptr_t)guarded_end();
    image.end = image.header + 4096;
    ck_assert_int_eq(count_rules(), 0);
    image.header = 8;
    ck_assert_int_eq(count_rules(), 0);
    image.header = UINTPTR_MAX - 64;
    image.end = UINTPTR_MAX;
    ck_assert_int_eq(count_rules(), 0);
}
