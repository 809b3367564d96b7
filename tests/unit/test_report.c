/* test_report.c - lines on stderr: complete, single, and in one write. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/report.h"

static int receiver;

/* A datagram socket keeps separate writes apart. */
static void catch_stderr(void)
{
    int ends[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    ck_assert_int_eq(dup2(ends[0], STDERR_FILENO), STDERR_FILENO);
    close(ends[0]);
    receiver = ends[1];
}

/* The next write, NULL if there was none. */
static const char *next_write(void)
{
    static char text[4096];
    ssize_t n = recv(receiver, text, sizeof text - 1, MSG_DONTWAIT);
    if (n < 0)
        return NULL;
    text[n] = '\0';
    return text;
}

TEST(prints_one_line)
{
    catch_stderr();
    errno = EXFULL;
    report("%s is %d", "answer", 42);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_str_eq(next_write(), "libpyperf: answer is 42\n");
    ck_assert_ptr_null(next_write());
}

TEST(cuts_a_long_line)
{
    char text[2000];
    catch_stderr();
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    for (size_t length = 480; length < 520; length++) {
        report("%.*s", (int)length, text);
        const char *line = next_write();
        size_t all = strlen("libpyperf: ") + length + 1;
        ck_assert_ptr_nonnull(line);
        ck_assert_msg(strlen(line) == all || (all > 511 && strlen(line) >= 500),
                      "%zu of %zu bytes arrive", strlen(line), all);
        ck_assert_uint_le(strlen(line), 512);
        ck_assert_msg(strchr(line, '\n') == line + strlen(line) - 1, "no newline at the end");
        ck_assert_ptr_null(next_write());
    }
}

static const struct reported {
    struct failure why;
    const char *line;
} reported[] = {
    {{FAILURE_MEMORY, 0, ""}, "libpyperf: nothing happens: out of memory\n"},
    {{FAILURE_MEMORY, 0, "table"}, "libpyperf: nothing happens: out of memory: table\n"},
    {{FAILURE_MEMORY, ENOENT, ""},
     "libpyperf: nothing happens: out of memory: No such file or directory\n"},
    {{FAILURE_MEMORY, ENOENT, "table"},
     "libpyperf: nothing happens: out of memory: table: No such file or directory\n"},
    {{FAILURE_MEMORY, 99999, "table"}, "libpyperf: nothing happens: out of memory: table\n"},
};

TEST(prints_failures)
{
    catch_stderr();
    for (size_t i = 0; i < LENGTH_OF(reported); i++) {
        errno = EXFULL;
        report_failure("nothing happens", &reported[i].why);
        ck_assert_int_eq(errno, EXFULL);
        ck_assert_str_eq(next_write(), reported[i].line);
        ck_assert_ptr_null(next_write());
    }
}

TEST(survives_without_stderr)
{
    int saved = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = EXFULL;
    report("%s", "to nobody");
    ck_assert_int_eq(errno, EXFULL);
    dup2(saved, STDERR_FILENO);
}

TEST(keeps_lines)
{
    char text[40], word[200];
    catch_stderr();
    report_keep();
    errno = EXFULL;
    report("%s", "one");
    report_failure("two", &(struct failure){FAILURE_MEMORY, 0, ""});
    ck_assert_int_eq(errno, EXFULL);
    report_kept(text, sizeof text);
    ck_assert_str_eq(text, "one\ntwo: out of memory");
    ck_assert_ptr_null(next_write());
    report("%s", "three");
    ck_assert_str_eq(next_write(), "libpyperf: three\n");
    memset(word, 'x', sizeof word);
    word[sizeof word - 1] = '\0';
    report_keep();
    for (int i = 0; i < 5; i++) /* two of them fit */
        report("%d %s", i, word);
    report_kept(text, sizeof text);
    ck_assert_uint_eq(strlen(text), sizeof text - 1);
    report_keep();
    report_kept(text, sizeof text);
    ck_assert_str_eq(text, "");
}
