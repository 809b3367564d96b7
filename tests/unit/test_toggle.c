/* test_toggle.c - which signals can be named, and how. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/process/toggle.h"
#include "support/support.h"

/* Linux on x86-64 (signal(7)); glibc reserves 32 and 33. */
static const struct name {
    const char *value;
    int number;
} names[] = {
    {"USR1", 10},     {"USR2", 12},     {"SIGUSR1", 10}, {"SIGUSR2", 12},    {"usr2", 12},
    {"SigUsr2", 12},  {"10", 10},       {"12", 12},      {"34", 34},         {"64", 64},
    {"RTMIN", 34},    {"SIGRTMIN", 34}, {"rtmin", 34},   {"RTMIN+0", 34},    {"SIGRTMIN+3", 37},
    {"RTMIN+03", 37}, {"RTMIN+30", 64}, {"RTMAX", 64},   {"SIGRTMAX-1", 63}, {"RTMAX-30", 34},
};

static const char *const refused[] = {
    /* nothing */
    "", " ", "SIG", "USR", "USR0", "USR3", "USR22", "SIGSIGUSR2", "SIGSIG", "USR2 ", " USR2",
    "USR2\n", "USR2,USR1", "SIGNAL", "yes", "true", "user2", "SIG12", "SIG 12",
    /* numbers */
    "0", "-1", "-12", "+12", " 12", "12 ", "012", "0x0c", "12.0", "1e1", "65", "99", "100", "268",
    "4294967308", "18446744073709551628", "32", "33", "\u0663\u0664",
    /* real-time signals that do not exist */
    "RTMIN-1", "RTMIN+31", "RTMIN+99", "RTMIN+034", "RTMIN+", "RTMIN++3", "RTMIN+-3", "RTMIN+ 3",
    "RTMIN+3 ", "RTMIN+x", "RTMIN3", "RTMIN+4294967299", "RTMAX+1", "RTMAX-31", "RTMAX-99",
    "RTMAX-", "RTMI", "RT", "RTMINUS",
    /* signals with another purpose */
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "SEGV", "PIPE", "ALRM",
    "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS", "SIGTERM", "SIGKILL", "SIGINT"};

TEST(names_of_signals)
{
    ck_assert_int_eq(SIGRTMIN, 34);
    ck_assert_int_eq(SIGRTMAX, 64);
    for (size_t i = 0; i < LENGTH_OF(names); i++) {
        int number = toggle_signal(names[i].value);
        ck_assert_msg(number == names[i].number, "\"%s\" is %d, expected %d", names[i].value,
                      number, names[i].number);
    }
}

TEST(no_others)
{
    for (size_t i = 0; i < LENGTH_OF(refused); i++) {
        int number = toggle_signal(refused[i]);
        ck_assert_msg(number == 0, "\"%s\" is %d, expected 0", refused[i], number);
    }
}

/* Numbers below the real-time ones, all of them. */
TEST(only_two_of_the_old_ones)
{
    for (int number = 0; number < 34; number++) {
        char value[12];
        snprintf(value, sizeof value, "%d", number);
        ck_assert_int_eq(toggle_signal(value), number == 10 || number == 12 ? number : 0);
    }
}

/* Checks the report at start, and whether the handler is to be installed. */
static const char *said_by_start(bool left_alone)
{
    int saved = dup(STDERR_FILENO);
    int file = open(in_folder("said"), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dup2(file, STDERR_FILENO);
    toggle_start(left_alone, false);
    dup2(saved, STDERR_FILENO);
    close(file);
    close(saved);
    return read_file(in_folder("said"), NULL);
}

TEST(not_asked_for)
{
    unsetenv("PYPERF_TOGGLE_SIGNAL");
    for (int i = 0; i < 2; i++) {
        ck_assert_str_eq(said_by_start(false), "");
        ck_assert_str_eq(said_by_start(true), "");
        ck_assert(!toggle_is_wanted() && !toggle_is_due());
        toggle_interpreter_ended();
        ck_assert(!toggle_is_due());
        setenv("PYPERF_TOGGLE_SIGNAL", "", 1);
    }
}

TEST(asked_for)
{
    setenv("PYPERF_TOGGLE_SIGNAL", "USR2", 1);
    ck_assert_str_eq(said_by_start(false), "");
    ck_assert(toggle_is_wanted() && toggle_is_due());
}

static void is_refused_in_one_line(const char *said)
{
    static const char start[] = "libpyperf: PYPERF_TOGGLE_SIGNAL is not used: ";
    ck_assert_msg(strncmp(said, start, strlen(start)) == 0, "said: %s", said);
    ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
    ck_assert(!toggle_is_wanted() && !toggle_is_due());
    toggle_interpreter_ended();
    ck_assert(!toggle_is_due());
}

TEST(asked_for_in_vain)
{
    setenv("PYPERF_TOGGLE_SIGNAL", "USR2", 1);
    is_refused_in_one_line(said_by_start(true));
    setenv("PYPERF_TOGGLE_SIGNAL", "TERM\nno line", 1);
    is_refused_in_one_line(said_by_start(false));
}
