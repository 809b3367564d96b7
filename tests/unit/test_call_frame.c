/* test_call_frame.c - the call frame instructions of relocated code (DWARF 4, 7.23), and their
 * limits. */
#include "support/support.h"
#include "trampoline/base/dwarf.h"
#include "trampoline/plan/call_frame.h"

static struct detour_plan plan;
static struct call_frame frame;

static void begin(void)
{
    plan = (struct detour_plan){.length = 0};
    call_frame_begin(&frame, &plan);
}

static void relocate(size_t units)
{
    plan.relocated_length += units * ARCH_DWARF_CODE_ALIGNMENT;
}

#define ASSERT_UNWIND(...)                                                                         \
    do {                                                                                           \
        const uint8_t expected[] = {__VA_ARGS__};                                                  \
        ck_assert_uint_eq(plan.unwind_length, sizeof expected);                                    \
        ck_assert_mem_eq(plan.unwind, expected, sizeof expected);                                  \
    } while (0)

TEST(says_what_instructions_do)
{
    begin();
    relocate(2);
    ck_assert(call_frame_lower(&frame, 16));
    ck_assert(call_frame_save(&frame, 6, 0));
    ck_assert(call_frame_save(&frame, 30, 8));
    relocate(1);
    ck_assert(call_frame_put(&frame, 0x2d));
    ASSERT_UNWIND(DW_CFA_advance_loc | 2, DW_CFA_def_cfa_offset, ARCH_CFA_AT_ENTRY + 16,
                  DW_CFA_offset | 6, ARCH_CFA_AT_ENTRY / 8 + 2, DW_CFA_offset | 30,
                  ARCH_CFA_AT_ENTRY / 8 + 1, DW_CFA_advance_loc | 1, 0x2d);
}

TEST(counts_up_all_that_is_lowered)
{
    begin();
    ck_assert(call_frame_lower(&frame, 8));
    ck_assert(call_frame_lower(&frame, 0x10000 - ARCH_CFA_AT_ENTRY - 8));
    ASSERT_UNWIND(DW_CFA_def_cfa_offset, ARCH_CFA_AT_ENTRY + 8, DW_CFA_def_cfa_offset, 0x80, 0x80,
                  0x04);
}

TEST(only_the_first_value_is_the_callers)
{
    begin();
    ck_assert(call_frame_lower(&frame, 8));
    ck_assert(call_frame_save(&frame, 3, 0));
    ck_assert(call_frame_save(&frame, 3, 0));
    ASSERT_UNWIND(DW_CFA_def_cfa_offset, ARCH_CFA_AT_ENTRY + 8, DW_CFA_offset | 3,
                  ARCH_CFA_AT_ENTRY / 8 + 1);
}

TEST(a_place_that_has_no_number)
{
    begin();
    ck_assert(call_frame_lower(&frame, 12));
    ck_assert(!call_frame_save(&frame, 3, 0));
}

TEST(goes_as_far_as_code_may_be_long)
{
    begin();
    relocate(DETOUR_MAX_RELOCATED / ARCH_DWARF_CODE_ALIGNMENT);
    ck_assert(call_frame_put(&frame, 0));
    size_t left = DETOUR_MAX_RELOCATED / ARCH_DWARF_CODE_ALIGNMENT;
    if (left > 0x3f)
        ASSERT_UNWIND(DW_CFA_advance_loc | 0x3f, (uint8_t)(DW_CFA_advance_loc | (left - 0x3f)), 0);
    else
        ASSERT_UNWIND((uint8_t)(DW_CFA_advance_loc | left), 0);
}

TEST(never_more_than_there_is_room_for)
{
    for (size_t free = 0; free < 5; free++) { /* an advance, an instruction, three bytes */
        begin();
        for (size_t i = 0; i + free < DETOUR_MAX_UNWIND; i++)
            ck_assert(call_frame_put(&frame, DW_CFA_nop));
        relocate(1);
        ck_assert(!call_frame_lower(&frame, 0x10000));
        ck_assert_uint_eq(plan.unwind_length, DETOUR_MAX_UNWIND);
        ck_assert(!call_frame_put(&frame, DW_CFA_nop));
        ck_assert(!call_frame_save(&frame, 3, 0));
        ck_assert_uint_eq(plan.unwind_length, DETOUR_MAX_UNWIND);
    }
}
