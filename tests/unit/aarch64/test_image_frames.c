/* test_image_frames.c - the unwind data of an image, as readelf shows them. */
#include "support/frames.h"

static const char *location(const char *at, uintptr_t words, uintptr_t address)
{
    char expected[100];
    snprintf(expected, sizeof expected, "DW_CFA_advance_loc: %zu to %016zx", words * 4, address);
    return line_with(at, expected);
}

/* The rows of each trampoline end where the next one's begin. */
static void check_group(const char *at, size_t group)
{
    uintptr_t text = IMAGE_TEXT_OFFSET + group * 16 * 32;
    at = line_with(at, expected_fde(group));
    for (uintptr_t trampoline = text; trampoline < text + 16 * 32; trampoline += 32) {
        at = location(at, 2, trampoline + 8);
        at = line_with(at, "DW_CFA_def_cfa_offset: 16");
        at = line_with(at, "DW_CFA_offset: r29 (x29) at cfa-16");
        at = line_with(at, "DW_CFA_offset: r30 (x30) at cfa-8");
        at = location(at, 3, trampoline + 20);
        at = line_with(at, "DW_CFA_def_cfa_offset: 0");
        at = line_with(at, "DW_CFA_restore: r29 (x29)");
        at = line_with(at, "DW_CFA_restore: r30 (x30)");
        at = location(at, 3, trampoline + 32);
    }
}

TEST(as_readelf_sees_it)
{
    struct image *image = make_image(1, unwind_plan());
    fill(image, 0, 40);
    const char *text = frames_of(image), *at = line_with(text, "CIE");
    at = line_with(at, "Code alignment factor: 4");
    at = line_with(at, "Return address column: 30");
    at = line_with(at, "DW_CFA_def_cfa: r31 (sp) ofs 0");
    at = line_with(at, expected_range(IMAGE_PROLOGUE_OFFSET, 8 + ARCH_JUMP_SIZE));
    at = location(at, 1, IMAGE_PROLOGUE_OFFSET + 4);
    at = line_with(at, "DW_CFA_def_cfa_offset: 48");
    at = line_with(at, "DW_CFA_offset: r29 (x29) at cfa-48");
    at = line_with(at, "DW_CFA_offset: r30 (x30) at cfa-40");
    at = location(at, 1, IMAGE_PROLOGUE_OFFSET + 8);
    at = line_with(at, "DW_CFA_offset: r19 (x19) at cfa-32");
    line_with(at, "DW_CFA_offset: r20 (x20) at cfa-24");
    for (size_t group = 0; group < 3; group++)
        check_group(text, group);
}

/* x29 is not set, and has the caller's value in memory all the same. */
TEST(without_frame_pointers)
{
    static const uint8_t nop[] = CODE_NOTHING;
    struct detour_plan plan = *unwind_plan();
    plan.unlinked = true;
    struct image *image = make_image(1, &plan);
    fill(image, 0, 1);
    ck_assert_mem_eq((const uint8_t *)image_trampoline(image, 0) + arch_trampoline_link, nop,
                     sizeof nop);
    check_group(frames_of(image), 0);
}
