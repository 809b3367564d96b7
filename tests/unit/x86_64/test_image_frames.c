/* test_image_frames.c - the unwind data of an image, as readelf shows them. */
#include "support/frames.h"
#include "trampoline/base/dwarf.h"
#include "trampoline/plan/call_frame.h"

TEST(as_readelf_sees_it)
{
    char expected[100];
    const char *at = line_with(frames_of(make_image(1, unwind_plan())), "CIE");
    at = line_with(at, "Return address column: 16");
    at = line_with(at, "DW_CFA_def_cfa: r7 (rsp) ofs 8");
    at = line_with(at, "DW_CFA_offset: r16 (rip) at cfa-8");
    at = line_with(at, expected_range(IMAGE_PROLOGUE_OFFSET, 20 + ARCH_JUMP_SIZE));
    snprintf(expected, sizeof expected, "DW_CFA_advance_loc: 2 to %016x",
             IMAGE_PROLOGUE_OFFSET + 2);
    at = line_with(at, expected);
    at = line_with(at, "DW_CFA_def_cfa_offset: 16");
    at = line_with(at, "DW_CFA_offset: r15 (r15) at cfa-16");
    at = line_with(at, "DW_CFA_def_cfa_offset: 24");
    at = line_with(at, "DW_CFA_def_cfa_offset: 32");
    at = line_with(at, "DW_CFA_offset: r6 (rbp) at cfa-32");
    at = line_with(at, "DW_CFA_def_cfa_offset: 160");
    at = line_with(at, "DW_CFA_def_cfa_offset: 168");
    at = line_with(at, "DW_CFA_offset: r3 (rbx) at cfa-168");
    at = line_with(at, expected_fde(0));
    at = line_with(at, "DW_CFA_def_cfa_expression (DW_OP_breg7 (rsp): 8; ");
    at = line_with(at, "DW_CFA_val_expression: r6 (rbp) (");
    at = line_with(at, "ZERO terminator");
    ck_assert_ptr_null(strstr(at, "FDE"));
}

/* rbp is the caller's at each of its instructions. */
TEST(without_frame_pointers)
{
    static const uint8_t nop[] = {0x0f, 0x1f, 0x00};
    struct detour_plan plan = *unwind_plan();
    plan.unlinked = true;
    struct image *image = make_image(1, &plan);
    fill(image, 0, 1);
    ck_assert_mem_eq((const uint8_t *)image_trampoline(image, 0) + 5, nop, sizeof nop);
    const char *at = line_with(frames_of(image), expected_fde(0));
    at = line_with(at, "DW_CFA_def_cfa_expression (DW_OP_breg7 (rsp): 8; ");
    ck_assert_ptr_null(strstr(at, "rbp"));
}

/* Offsets of one, two and three bytes as ULEB128. */
static const unsigned cfa_offsets[] = {16, 120, 128, 248, 1024, 16376, 16384, 65528};
#define CFA_OFFSETS ((int)LENGTH_OF(cfa_offsets))

/* As many instructions as fit, at the last offsets. */
TEST(longest_plan)
{
    static const uint8_t code[DETOUR_MAX_DISPLACED];
    struct detour_plan plan = plan_of(code, sizeof code, (uintptr_t)unwind_digits);
    char expected[100];
    struct call_frame frame;
    size_t length = plan.relocated_length;
    call_frame_begin(&frame, &plan);
    for (int i = 0; i < CFA_OFFSETS; i++) {
        plan.relocated_length = (size_t)i + 13;
        ck_assert(call_frame_lower(&frame, cfa_offsets[i] - frame.cfa_offset));
        ck_assert(call_frame_save(&frame, 8 + (unsigned)i, 0));
    }
    while (plan.unwind_length < DETOUR_MAX_UNWIND)
        ck_assert(call_frame_put(&frame, DW_CFA_nop));
    plan.relocated_length = length;
    const char *at = frames_of(make_image(1, &plan));
    for (int i = 0; i < CFA_OFFSETS; i++) {
        snprintf(expected, sizeof expected, " to %016x", IMAGE_PROLOGUE_OFFSET + i + 13);
        at = line_with(at, expected);
        snprintf(expected, sizeof expected, "DW_CFA_def_cfa_offset: %u", cfa_offsets[i]);
        at = line_with(at, expected);
        snprintf(expected, sizeof expected, "r%d (r%d) at cfa-%u", 8 + i, 8 + i, cfa_offsets[i]);
        at = line_with(at, expected);
    }
    line_with(at, expected_fde(0));
}
