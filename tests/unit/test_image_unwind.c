/* test_image_unwind.c - the unwind data of an image, with libunwind: from every instruction of a
 * trampoline and of the prologue it finds the caller and its registers. */
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shims/unwind.h"
#include "trampoline/base/dwarf.h"
#include "trampoline/plan/call_frame.h"

static const int registers[] = {UNW_X86_64_RBX, UNW_X86_64_RBP, UNW_X86_64_R12,
                                UNW_X86_64_R13, UNW_X86_64_R14, UNW_X86_64_R15};

/* Says how the caller that a cursor has reached is wrong; NULL if it is right. */
static const char *wrong_caller(unw_cursor_t *cursor)
{
    static char text[100];
    unw_word_t ip = 0, sp = 0;
    unw_get_reg(cursor, UNW_REG_IP, &ip);
    unw_get_reg(cursor, UNW_REG_SP, &sp);
    if (ip != (uintptr_t)unwind_return || sp != unwind_sp) {
        snprintf(text, sizeof text, "caller at %#lx, stack %#lx; expected %#lx, %#lx", ip, sp,
                 (uintptr_t)unwind_return, unwind_sp);
        return text;
    }
    for (size_t i = 0; i < LENGTH_OF(registers); i++) {
        unw_word_t value = 0;
        unw_get_reg(cursor, registers[i], &value);
        if (value != unwind_known[i]) {
            snprintf(text, sizeof text, "%s is %#lx in the caller, expected %#lx",
                     unw_regname(registers[i]), value, unwind_known[i]);
            return text;
        }
    }
    return NULL;
}

static const char *unwind_from(void *context)
{
    unw_cursor_t cursor;
    int error = unw_init_local2(&cursor, context, UNW_INIT_SIGNAL_FRAME);
    if (error == 0)
        error = unw_step(&cursor);
    return error > 0 ? wrong_caller(&cursor) : unw_strerror(error);
}

TEST(from_each_instruction)
{
    assert_unwinds_at_each_step(unwind_from);
}

static const struct image *seen_image;
static char seen[400]; /* of the frames from a callee to unwind_call */

static size_t describe(unw_cursor_t *cursor, char *out, size_t size)
{
    unw_word_t ip = 0, offset = 0;
    char name[200] = "?";
    unw_get_reg(cursor, UNW_REG_IP, &ip);
    int32_t trampoline = image_trampoline_at(seen_image, ip);
    if (trampoline < 0)
        return 0;
    unw_get_proc_name(cursor, name, sizeof name, &offset);
    return (size_t)snprintf(out, size, "[%s+%lu, %d+%lu]", name, offset, trampoline,
                            ip - image_trampoline(seen_image, (uint32_t)trampoline));
}

static long unwind_from_callee(long a, long b, long c)
{
    unw_context_t context;
    unw_cursor_t cursor;
    size_t used = 0;
    int frames = 0;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    while (unw_step(&cursor) > 0 && frames++ < 100) {
        unw_word_t ip = 0;
        unw_get_reg(&cursor, UNW_REG_IP, &ip);
        if (ip == (uintptr_t)unwind_return) {
            const char *wrong = wrong_caller(&cursor);
            snprintf(seen + used, sizeof seen - used, " %s", wrong == NULL ? "caller" : wrong);
            break;
        }
        used += describe(&cursor, seen + used, sizeof seen - used);
    }
    return unwind_digits(a, b, c);
}

/* The callee, unwind_continue, the trampoline at its return address, and the caller; with names. */
TEST(from_a_callee)
{
    struct image *image = make_image(1, unwind_plan());
    fill(image, 0, 3);
    seen_image = image;
    unwind_callee = unwind_from_callee;
    for (uint32_t i = 0; i < 3; i++) {
        char expected[400];
        *seen = '\0';
        ck_assert_int_eq(unwind_call(trampoline_function(image, i), 0), 123);
        snprintf(expected, sizeof expected, "[%s+13, %u+13] caller", name_of(i), i);
        ck_assert_str_eq(seen, expected);
    }
}

enum { DEPTH = 40 };
static int depth;

static long nest(long a, long b, long c)
{
    if (++depth < DEPTH)
        return trampoline_function(seen_image, (uint32_t)depth)(a, b, c);
    unw_context_t context;
    unw_cursor_t cursor;
    int found = DEPTH - 1;
    unw_getcontext(&context);
    unw_init_local(&cursor, &context);
    while (unw_step(&cursor) > 0 && found >= 0) {
        unw_word_t ip = 0;
        unw_get_reg(&cursor, UNW_REG_IP, &ip);
        int32_t trampoline = image_trampoline_at(seen_image, ip);
        if (trampoline >= 0 && trampoline != found--)
            return -trampoline;
    }
    return found == -1 ? 123 : found;
}

TEST(through_many_slots)
{
    struct image *image = make_image(1, unwind_plan());
    fill(image, 0, DEPTH);
    seen_image = image;
    unwind_callee = nest;
    depth = 0;
    ck_assert_int_eq(unwind_call(trampoline_function(image, 0), 0), 123);
    ck_assert_int_eq(depth, DEPTH);
}

/* The n-th line with this beginning; fails if there is none. */
static const char *line_with(const char *text, const char *wanted)
{
    const char *found = strstr(text, wanted);
    ck_assert_msg(found != NULL, "no \"%s\" in\n%s", wanted, text);
    return found;
}

/* The unwind data as readelf shows them. */
static const char *frames_of(const struct image *image)
{
    static char text[16 << 20], command[300];
    snprintf(command, sizeof command, "LC_ALL=C readelf -W --debug-dump=frames '%s' 2>&1",
             image_path(image));
    FILE *output = popen(command, "re");
    text[fread(text, 1, sizeof text - 1, output)] = '\0';
    ck_assert_int_eq(pclose(output), 0);
    return text;
}

static const char *expected_range(size_t start, size_t size)
{
    static char text[100];
    snprintf(text, sizeof text, "FDE cie=00000000 pc=%016zx..%016zx", start, start + size);
    return text;
}

/* The FDE of the n-th group of trampolines. */
static const char *expected_fde(size_t n)
{
    const size_t size = ARCH_TRAMPOLINES_PER_FDE * ARCH_TRAMPOLINE_SIZE;
    return expected_range(IMAGE_TEXT_OFFSET + n * size, size);
}

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
