/* test_code_table.c - code objects' values by address, compared with an array, and the entries that
 * the hook reads. */
#include <stdlib.h>
#include <string.h>

#include "preload/cpython/code_table.h"
#include "support/support.h"
#include "trampoline/hook.h"

enum { OBJECTS = 20000, SIZE = 128, STEPS = 400000 };

static uint64_t expected[OBJECTS];

static uintptr_t address(size_t i)
{
    return 0x7f1234500000 + 48 + i * SIZE;
}

static const struct hook_code *seen_by_hook(uintptr_t code)
{
    return &hook_state.codes[code / 128 % 65536];
}

static void check_all(void)
{
    for (size_t i = 0; i < OBJECTS; i++)
        ck_assert_msg(code_table_get(address(i)) == expected[i], "object %zu: %#lx, expected %#lx",
                      i, code_table_get(address(i)), expected[i]);
}

/* Sets and drops values in random order; a dropped value leaves nothing. */
TEST(is_what_was_set)
{
    check_all();
    srandom(4711);
    for (int step = 0; step < STEPS; step++) {
        size_t i = (size_t)random() % OBJECTS;
        expected[i] = random() % 3 == 0 ? 0 : (uint64_t)step + 1;
        if (expected[i] == 0)
            code_table_forget(address(i));
        else
            ck_assert(code_table_set(address(i), expected[i]));
        ck_assert_uint_eq(code_table_get(address(i)), expected[i]);
        if (step % (STEPS / 8) == 0)
            check_all();
    }
    check_all();
    for (size_t i = 0; i < OBJECTS; i++) {
        code_table_forget(address(i));
        expected[i] = 0;
    }
    check_all();
}

TEST(shows_what_is_known)
{
    uintptr_t code = address(1), rival = code + ((uintptr_t)HOOK_CODES << HOOK_CODE_SHIFT);
    ck_assert_ptr_eq(seen_by_hook(code), seen_by_hook(rival));
    ck_assert_ptr_ne(seen_by_hook(code), seen_by_hook(address(2)));
    ck_assert(code_table_set(code, 5) && code_table_set(rival, 6));
    ck_assert_uint_eq(hook_state.codes_mask, 0); /* nothing is shown before it runs */
    ck_assert_uint_eq(hook_state.codes->code, 0);
    code_table_show(code, 5);
    ck_assert(seen_by_hook(code)->code == code && seen_by_hook(code)->value == 5);
    ck_assert(code_table_set(rival, 7)); /* and stays until another is shown */
    ck_assert(seen_by_hook(code)->code == code && seen_by_hook(code)->value == 5);
    ck_assert(code_table_set(code, 8));
    ck_assert_uint_eq(seen_by_hook(code)->value, 8);
    code_table_show(rival, 7);
    ck_assert(seen_by_hook(code)->code == rival && seen_by_hook(code)->value == 7);
    code_table_show(code, 9); /* the table has another value, so this is not shown */
    ck_assert(seen_by_hook(code)->code == rival);
    code_table_forget(code);
    ck_assert(seen_by_hook(code)->code == rival);
    ck_assert_uint_eq(code_table_get(rival), 7);
    code_table_forget(rival);
    ck_assert_uint_eq(seen_by_hook(code)->code, 0);
    ck_assert_uint_eq(code_table_get(rival), 0);
}
