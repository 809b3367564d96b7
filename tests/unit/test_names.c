/* test_names.c - characters appended to a name, names joined to a qualified name, and the limit. */
#include <stdio.h>
#include <string.h>

#include "preload/cpython/names.h"
#include "support/support.h"

static struct name name;

static void start(void)
{
    memset(&name, 0xa5, sizeof name); /* nothing else needs to be set */
    name_clear(&name);
}

static const char *text_of(const struct name *of)
{
    static char text[NAME_LIMIT + 1];
    memcpy(text, of->text, of->length);
    text[of->length] = '\0';
    return text;
}

static const struct character {
    uint32_t character;
    const char *expected;
} characters[] = {
    {'a', "a"},
    {' ', " "},
    {'~', "~"},
    {'\\', "\\"},
    {'\0', "\\x00"},
    {'\a', "\\x07"},
    {'\t', "\\t"},
    {'\n', "\\n"},
    {'\r', "\\r"},
    {0x1b, "\\x1b"},
    {0x1f, "\\x1f"},
    {0x7f, "\\x7f"},
    {0x80, "\\x80"},
    {0x85, "\\x85"}, /* NEL: a line end to splitlines */
    {0x9f, "\\x9f"},
    {0xa0, "\xc2\xa0"},
    {0xe9, "\xc3\xa9"},
    {0x7ff, "\xdf\xbf"},
    {0x800, "\xe0\xa0\x80"},
    {0x2027, "\xe2\x80\xa7"},
    {0x2028, "\\u2028"},
    {0x2029, "\\u2029"},
    {0x202a, "\xe2\x80\xaa"},
    {0x20ac, "\xe2\x82\xac"},
    {0xd7ff, "\xed\x9f\xbf"},
    {0xd800, "\\ud800"},
    {0xdc80, "\\udc80"}, /* an undecodable byte of a file name, PEP 383 */
    {0xdfff, "\\udfff"},
    {0xe000, "\xee\x80\x80"},
    {0xffff, "\xef\xbf\xbf"},
    {0x10000, "\xf0\x90\x80\x80"},
    {0x1f40d, "\xf0\x9f\x90\x8d"},
    {0x10ffff, "\xf4\x8f\xbf\xbf"},
    {0x110000, "\\U00110000"},
    {0xffffffff, "\\Uffffffff"},
};

TEST(puts_characters)
{
    for (size_t i = 0; i < LENGTH_OF(characters); i++) {
        start();
        name_put_bytes(&name, "<", 1);
        name_put_character(&name, characters[i].character);
        name_put_bytes(&name, ">", 1);
        char expected[32];
        snprintf(expected, sizeof expected, "<%s>", characters[i].expected);
        ck_assert_msg(strcmp(text_of(&name), expected) == 0, "U+%04X: %s, expected %s",
                      characters[i].character, text_of(&name), expected);
        ck_assert(!name.is_cut);
    }
}

TEST(never_a_control_character)
{
    for (uint32_t c = 0; c < 0x120; c++) {
        start();
        name_put_character(&name, c);
        for (size_t i = 0; i < name.length; i++)
            ck_assert_msg((unsigned char)name.text[i] >= 0x20 && name.text[i] != 0x7f,
                          "U+%04X gives byte %02x", c, (unsigned char)name.text[i]);
    }
}

/* Fills the name up to `room` bytes before its limit. */
static void fill_up_to(size_t room)
{
    static char filler[NAME_LIMIT];
    memset(filler, 'x', sizeof filler);
    start();
    name_put_bytes(&name, filler, NAME_LIMIT - 3 - room);
    ck_assert(!name.is_cut);
}

static const struct limit {
    size_t room; /* before the three dots */
    const char *bytes;
    const char *end; /* expected */
    bool cut;
} limits[] = {
    {5, "abcd", "xabcd", false},
    {4, "abcd", "xabcd", false},
    {3, "abcd", "xabc...", true},
    {0, "abcd", "x...", true},
    {0, "", "x", false},
    {2, "\xc3\xa9", "x\xc3\xa9", false},
    {1, "\xc3\xa9", "x...", true}, /* not half a character */
    {3, "ab\xe2\x82\xac", "xab...", true},
    {4, "ab\xe2\x82\xac", "xab...", true},
    {5, "ab\xe2\x82\xac", "xab\xe2\x82\xac", false},
    {3, "\xf0\x9f\x90\x8d", "x...", true},
    {0, "\xf0\x9f\x90\x8d", "x...", true},
};

TEST(cuts_at_its_limit)
{
    for (size_t i = 0; i < LENGTH_OF(limits); i++) {
        const struct limit *limit = &limits[i];
        fill_up_to(limit->room);
        name_put_bytes(&name, limit->bytes, strlen(limit->bytes));
        size_t tail = strlen(limit->end);
        const char *end = text_of(&name) + name.length - tail;
        ck_assert_msg(strcmp(end, limit->end) == 0, "row %zu: ends in %s, expected %s", i, end,
                      limit->end);
        ck_assert_msg(name.length == NAME_LIMIT - 3 - limit->room - 1 + tail,
                      "row %zu: %zu bytes in all", i, name.length);
        ck_assert_msg(name.is_cut == limit->cut, "row %zu: is_cut is %d", i, name.is_cut);
        ck_assert_uint_le(name.length, NAME_LIMIT);
    }
}

TEST(takes_nothing_after_the_cut)
{
    fill_up_to(1);
    name_put_bytes(&name, "abc", 3);
    size_t length = name.length;
    name_put_bytes(&name, "d", 1);
    name_put_character(&name, 'e');
    name_put_character(&name, '\n');
    name_put_enclosing(&name, "f", 1, NAME_SCOPE_CLASS);
    ck_assert_uint_eq(name.length, length);
    ck_assert_str_eq(text_of(&name) + length - 5, "xa...");
}

TEST(cuts_characters_whole)
{
    for (size_t room = 0; room < 4; room++) {
        fill_up_to(room);
        name_put_character(&name, 0x1f40d);
        ck_assert(name.is_cut);
        ck_assert_str_eq(text_of(&name) + name.length - 4, "x...");
    }
    fill_up_to(4);
    name_put_character(&name, 0x1f40d);
    ck_assert(!name.is_cut);
    ck_assert_uint_eq(name.length, NAME_LIMIT - 3);
}

TEST(joins_enclosing_names)
{
    start();
    name_put_enclosing(&name, "ignored", 7, NAME_SCOPE_MODULE);
    ck_assert_uint_eq(name.length, 0);
    name_put_enclosing(&name, "Outer.rest", 5, NAME_SCOPE_CLASS);
    ck_assert_str_eq(text_of(&name), "Outer.");
    name_put_bytes(&name, "method", 6);
    struct name inner = {.length = 0};
    name_put_enclosing(&inner, name.text, name.length, NAME_SCOPE_FUNCTION);
    name_put_bytes(&inner, "inner", 5);
    ck_assert_str_eq(text_of(&inner), "Outer.method.<locals>.inner");
}

enum { OPTIMIZED = 1, NEWLOCALS = 2, NESTED = 0x10, GENERATOR = 0x20, NOFREE = 0x40 };

static const struct scope {
    const char *name;
    int flags; /* Include/code.h, as CPython's compiler sets them */
    enum name_scope expected;
} scopes[] = {
    {"<module>", 0, NAME_SCOPE_MODULE},
    {"<module>", NOFREE, NAME_SCOPE_MODULE},
    {"C", 0, NAME_SCOPE_CLASS},
    {"C", NOFREE, NAME_SCOPE_CLASS},
    {"C", NESTED, NAME_SCOPE_CLASS},
    {"", NOFREE, NAME_SCOPE_CLASS}, /* not ASCII */
    {"f", OPTIMIZED | NEWLOCALS, NAME_SCOPE_FUNCTION},
    {"f", OPTIMIZED | NEWLOCALS | NESTED | GENERATOR, NAME_SCOPE_FUNCTION},
    {"", OPTIMIZED | NEWLOCALS | NOFREE, NAME_SCOPE_FUNCTION},
    {"<lambda>", OPTIMIZED | NEWLOCALS | NOFREE, NAME_SCOPE_FUNCTION},
    {"<listcomp>", OPTIMIZED | NEWLOCALS | NOFREE, NAME_SCOPE_CLASS},
    {"<genexpr>", OPTIMIZED | NEWLOCALS | GENERATOR, NAME_SCOPE_CLASS},
};

TEST(knows_scopes)
{
    for (size_t i = 0; i < LENGTH_OF(scopes); i++)
        ck_assert_msg(name_scope_of(scopes[i].flags, scopes[i].name) == scopes[i].expected,
                      "%s with flags %#x is scope %d, expected %d", scopes[i].name, scopes[i].flags,
                      name_scope_of(scopes[i].flags, scopes[i].name), scopes[i].expected);
}

/* Bytes in any encoding: RFC 3629, section 3, and sequences that it forbids. */
static const struct bytes {
    const char *bytes, *expected;
} foreign[] = {
    {"", ""},
    {"plain", "plain"},
    {"a\nb\x1b", "a\\nb\\x1b"},
    {"\xc3\xa9", "\xc3\xa9"},
    {"\xe2\x82\xac\xf0\x9f\x90\x8d", "\xe2\x82\xac\xf0\x9f\x90\x8d"},
    {"\xc2\x85", "\\x85"},
    {"\xe2\x80\xa8", "\\u2028"},
    {"\xe9t\xe9", "\\xe9t\\xe9"}, /* Latin-1 */
    {"\x80\xbf", "\\x80\\xbf"},
    {"\xc0\x80", "\\xc0\\x80"},                            /* not the shortest form */
    {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},                   /* nor this */
    {"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"},          /* nor this */
    {"\xed\xa0\x80", "\\xed\\xa0\\x80"},                   /* a surrogate */
    {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},          /* beyond U+10FFFF */
    {"\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80"}, /* five bytes */
    {"\xff\xfe", "\\xff\\xfe"},
    {"x\xe2\x82", "x\\xe2\\x82"}, /* cut off */
    {"\xe2y", "\\xe2y"},
    {"\xc3\xc3\xa9", "\\xc3\xc3\xa9"},
};

TEST(bytes_that_may_be_utf8)
{
    for (size_t i = 0; i < LENGTH_OF(foreign); i++) {
        start();
        name_put_foreign_bytes(&name, foreign[i].bytes, strlen(foreign[i].bytes));
        ck_assert_str_eq(text_of(&name), foreign[i].expected);
    }
    start();
    name_put_foreign_bytes(&name, "a\0b", 3);
    ck_assert_str_eq(text_of(&name), "a\\x00b");
}

/* Eight characters are checked at once: each one, at each position of strings of each length. */
TEST(ascii_at_each_place)
{
    enum { LONGEST = 20 };
    static struct name expected;
    char text[LONGEST];
    for (size_t length = 1; length <= LONGEST; length++)
        for (size_t at = 0; at < length; at++)
            for (int c = 0; c <= 0x7f; c++) {
                memset(text, at % 2 == 0 ? ' ' : '~', length);
                text[at] = (char)c;
                start();
                name_clear(&expected);
                name_put_ascii(&name, text, length);
                for (size_t i = 0; i < length; i++)
                    name_put_character(&expected, (unsigned char)text[i]);
                if (name.length != expected.length ||
                    memcmp(name.text, expected.text, name.length) != 0)
                    ck_abort_msg("%02x at %zu of %zu: %s", c, at, length, text_of(&name));
            }
}
