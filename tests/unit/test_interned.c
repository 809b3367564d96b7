/* test_interned.c - equal strings are stored once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload/cpython/interned.h"
#include "support/support.h"

TEST(keeps_copies)
{
    char text[] = "Class.method.";
    const char *copy = interned(intern(text, strlen(text)));
    const char *beginning = interned(intern(text, 5));
    const char *empty = interned(intern(text, 0));
    memset(text, 'x', sizeof text);
    ck_assert_str_eq(copy, "Class.method.");
    ck_assert_str_eq(beginning, "Class");
    ck_assert_str_eq(empty, "");
}

TEST(compares_whole_strings)
{
    uint32_t number = intern("Class.method", 12);
    ck_assert(interned_is(number, "Class.method.", 12));
    ck_assert(!interned_is(number, "Class.method.", 13));
    ck_assert(!interned_is(number, "Class.method", 11));
    ck_assert(!interned_is(number, "Class.Method", 12));
}

TEST(keeps_each_once)
{
    enum { COUNT = 20000 };
    static uint32_t same[COUNT];
    char text[32];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < COUNT; i++) {
            int length = snprintf(text, sizeof text, "f%d.<locals>.", i);
            uint32_t found = intern(text, (size_t)length);
            ck_assert_str_eq(interned(found), text);
            if (round > 0)
                ck_assert_uint_eq(found, same[i]);
            same[i] = found;
        }
    }
}

TEST(keeps_up_to_a_limit)
{
    enum { LIMIT = 65535 };
    char *text = malloc(LIMIT + 2);
    memset(text, 'x', LIMIT + 2);
    ck_assert_uint_eq(intern(text, LIMIT + 1), 0);
    uint32_t longest = intern(text, LIMIT);
    ck_assert_uint_eq(strlen(interned(longest)), LIMIT);
    ck_assert_uint_eq(intern(text, LIMIT), longest);
    ck_assert_str_eq(interned(intern("next", 4)), "next");
    free(text);
}
