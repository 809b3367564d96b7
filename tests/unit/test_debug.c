/* test_debug.c - PYPERF_DEBUG, and the lines that it makes. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/debug.h"

static char complaint[512];

static bool start(const char *value)
{
    memset(&debug_state, 0, sizeof debug_state);
    complaint[0] = '\0';
    errno = EXFULL;
    bool usable = debug_start(value, complaint, sizeof complaint);
    ck_assert_int_eq(errno, EXFULL);
    return usable;
}

static int levels_set(void)
{
    int count = 0;
    for (int i = 0; i < DEBUG_MODULE_COUNT; i++)
        count += debug_state.level[i] != 0;
    return count;
}

TEST(is_off)
{
    ck_assert(start(NULL) && levels_set() == 0);
    ck_assert(start("") && levels_set() == 0);
}

TEST(takes_modules_and_levels)
{
    ck_assert(start("detour:3"));
    ck_assert_int_eq(levels_set(), 1);
    ck_assert_int_eq(debug_state.level[DEBUG_detour], 3);
    ck_assert(start("profile:1,image:2"));
    ck_assert_int_eq(levels_set(), 2);
    ck_assert_int_eq(debug_state.level[DEBUG_profile], 1);
    ck_assert_int_eq(debug_state.level[DEBUG_image], 2);
    ck_assert(start("all:1,map:3"));
    ck_assert_int_eq(levels_set(), DEBUG_MODULE_COUNT);
    ck_assert_int_eq(debug_state.level[DEBUG_map], 3);
    ck_assert_int_eq(debug_state.level[DEBUG_process], 1);
    ck_assert_str_eq(debug_state.path, "");
}

static const struct typo {
    const char *value, *said;
} typos[] = {
    {"detuor:1", "no module \"detuor\""},
    {"detour", "no level"},
    {"detour:", "no level"},
    {"detour:0", "no level"},
    {"detour:4", "no level"},
    {"detour:11", "no level"},
    {"detour:x", "no level"},
    {"detour=1", "no module"},
    {"1", "no module"},
    {"detour:1,", "no module \"\""},
    {",detour:1", "no module \"\""},
    {"Detour:1", "no module"},
    {"detour:1 ", "no level"},
    {"detours:1", "no module"},
    {"al:1", "no module"},
    {":1", "no module \"\""},
    {"file=", "cannot write"},
    {"detour:1,File=x", "no module"},
};

/* The complaint names the modules, and nothing is logged. */
TEST(says_what_is_wrong)
{
    for (size_t i = 0; i < LENGTH_OF(typos); i++) {
        ck_assert_msg(!start(typos[i].value), "%s", typos[i].value);
        ck_assert_msg(strstr(complaint, typos[i].said) != NULL, "%s: %s", typos[i].value,
                      complaint);
        ck_assert_ptr_null(strchr(complaint, '\n'));
        ck_assert_int_eq(levels_set(), 0);
    }
    start("nobody:1");
    ck_assert_ptr_nonnull(strstr(complaint, "detour"));
    ck_assert_ptr_nonnull(strstr(complaint, "jitdump"));
}

static const char *setting(const char *path)
{
    static char value[PATH_MAX];
    snprintf(value, sizeof value, "detour:2,file=%s", path);
    return value;
}

TEST(writes_to_a_file)
{
    const char *path = in_folder("a,b.log");
    int before = count_descriptors();
    char expected[256];
    ck_assert_msg(start(setting(path)), "%s", complaint);
    for (int i = 1; i <= 3; i++) {
        errno = EXFULL;
        debug_log(detour, i, "at %d", i);
        debug_log(image, i, "another module");
        ck_assert_int_eq(errno, EXFULL);
    }
    snprintf(expected, sizeof expected,
             "libpyperf: %d detour:1 at 1\nlibpyperf: %d detour:2 at 2\n", getpid(), getpid());
    ck_assert_str_eq(read_file(path, NULL), expected);
    ck_assert_int_eq(count_descriptors(), before);
    struct stat status;
    ck_assert(stat(path, &status) == 0 && (status.st_mode & 0777) == 0600);
}

/* The file is appended to: other processes, and earlier ones, write there too. */
TEST(finds_the_file_again)
{
    char here[PATH_MAX];
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    ck_assert_int_eq(chdir(folder), 0);
    ck_assert_msg(start(setting("relative")), "%s", complaint);
    ck_assert_int_eq(chdir("/"), 0);
    int fd = open(in_folder("relative"), O_WRONLY | O_APPEND);
    ck_assert_int_eq(write(fd, "before\n", 7), 7);
    debug_log(detour, 1, "after");
    const char *text = read_file(in_folder("relative"), NULL);
    ck_assert_ptr_eq(strstr(text, "before\nlibpyperf: "), text);
    ck_assert_ptr_nonnull(strstr(text, " after\n"));
    ck_assert_int_eq(chdir(here), 0);
}

TEST(refuses_what_is_no_file)
{
    write_file(in_folder("precious"), "precious", 8);
    ck_assert_int_eq(symlink(in_folder("precious"), in_folder("link")), 0);
    ck_assert_int_eq(link(in_folder("precious"), in_folder("second")), 0);
    ck_assert_int_eq(mkfifo(in_folder("fifo"), 0600), 0);
    const char *const refused[] = {in_folder("link"), in_folder("second"),
                                   in_folder("fifo"), folder,
                                   "/dev/null",       in_folder("no/such")};
    for (size_t i = 0; i < LENGTH_OF(refused); i++) {
        int before = count_descriptors();
        ck_assert_msg(!start(setting(refused[i])), "%s", refused[i]);
        ck_assert_msg(strstr(complaint, "cannot write") != NULL, "%s", complaint);
        ck_assert_int_eq(count_descriptors(), before);
    }
    /* The path leads to no regular file any more. */
    ck_assert(start(setting(in_folder("log"))));
    ck_assert_int_eq(unlink(in_folder("log")), 0);
    ck_assert_int_eq(symlink(in_folder("precious"), in_folder("log")), 0);
    debug_log(detour, 1, "not here");
    ck_assert_str_eq(read_file(in_folder("precious"), NULL), "precious");
}

TEST(cuts_long_lines)
{
    char text[2000];
    size_t length;
    memset(text, 'x', sizeof text);
    ck_assert(start(setting(in_folder("log"))));
    debug_log(detour, 1, "%.*s", (int)sizeof text, text);
    const char *line = read_file(in_folder("log"), &length);
    ck_assert_uint_le(length, 512);
    ck_assert_uint_gt(length, 500);
    ck_assert_ptr_eq(strchr(line, '\n'), line + length - 1);
}

TEST(writes_to_stderr)
{
    ck_assert(start("detour:1"));
    int saved = dup(STDERR_FILENO), own = open(in_folder("stderr"), O_CREAT | O_RDWR, 0600);
    dup2(own, STDERR_FILENO);
    debug_log(detour, 1, "here");
    dup2(saved, STDERR_FILENO);
    ck_assert_ptr_nonnull(strstr(read_file(in_folder("stderr"), NULL), " detour:1 here\n"));
}
