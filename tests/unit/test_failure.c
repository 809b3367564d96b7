/* test_failure.c - failures as values, and each code's message. */
#include <ctype.h>
#include <string.h>

#include "support/support.h"
#include "trampoline/base/failure.h"

static const struct listed {
    enum failure_code code;
    const char *name, *message;
} list[] = {
#define X(code, message) {code, #code, message},
    FAILURE_LIST(X)
#undef X
};

TEST(fills_all_fields)
{
    struct failure why;
    memset(&why, 0xa5, sizeof why);
    errno = EXFULL;
    ck_assert(!failure_set(&why, FAILURE_DECODE, ENOSPC, "%s at %d", "nop", 7));
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(why.code, FAILURE_DECODE);
    ck_assert_int_eq(why.sys_errno, ENOSPC);
    ck_assert_str_eq(why.what, "nop at 7");
}

TEST(takes_errno_as_an_argument)
{
    struct failure why;
    errno = EXDEV;
    failure_set(&why, FAILURE_FILE, errno, "%s", "");
    ck_assert_int_eq(why.sys_errno, EXDEV);
    ck_assert_str_eq(why.what, "");
}

TEST(without_a_listener)
{
    errno = EXFULL;
    ck_assert(!failure_set(NULL, FAILURE_DECODE, ENOSPC, "%s", "anything"));
    ck_assert_int_eq(errno, EXFULL);
}

TEST(cuts_long_text)
{
    struct {
        struct failure why;
        char behind;
    } guarded = {.behind = '!'};
    char text[2 * sizeof guarded.why.what];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    failure_set(&guarded.why, FAILURE_FILE, 0, "%s", text);
    ck_assert_uint_eq(strlen(guarded.why.what), sizeof guarded.why.what - 1);
    ck_assert_int_eq(guarded.behind, '!');
}

/* They complete "libpyperf: not profiling: <message>: <what>". */
TEST(messages_complete_a_line)
{
    for (size_t i = 0; i < LENGTH_OF(list); i++) {
        const char *message = failure_message(list[i].code);
        ck_assert_str_eq(message, list[i].message);
        ck_assert_msg(list[i].code == (enum failure_code)i, "%s is %d", list[i].name, list[i].code);
        ck_assert_msg(islower((unsigned char)message[0]), "%s: %s", list[i].name, message);
        ck_assert_msg(ispunct((unsigned char)message[strlen(message) - 1]) == 0, "%s: %s",
                      list[i].name, message);
        for (size_t j = 0; j < i; j++)
            ck_assert_msg(strcmp(message, list[j].message) != 0, "%s and %s have one message",
                          list[i].name, list[j].name);
    }
}

TEST(unknown_codes_have_a_message)
{
    int beyond = (int)LENGTH_OF(list), negative = -1;
    enum failure_code code;
    memcpy(&code, &beyond, sizeof code);
    ck_assert_str_eq(failure_message(code), "unknown code");
    memcpy(&code, &negative, sizeof code);
    ck_assert_str_eq(failure_message(code), "unknown code");
}
