/* test_image_unwind.c - the unwind data of an image, with libunwind: from every instruction of a
 * trampoline and of the prologue it finds the caller and its registers. */
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/unwind.h"

/* libunwind's numbers are DWARF's. */
static const int registers[] = UNWIND_REGISTERS;

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
        snprintf(expected, sizeof expected, "[%s+%d, %u+%d] caller", name_of(i), UNWIND_RETURN, i,
                 UNWIND_RETURN);
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
