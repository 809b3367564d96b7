/* test_perf_map.c - the lines of a map file: exact, and complete at every moment, also after a
 * kill. Damaged and foreign files: test_perf_map_hostile.c. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jitdump/perf_map.h"
#include "support/support.h"

enum { PAGE = 4096, PID = 4711 };

static struct perf_map map;

/* The expected contents, without the empty lines at the end. */
static char expected[8 << 20];
static size_t expected_length;

static const char *map_path(void)
{
    return in_folder("perf-%d.map", PID);
}

static void open_map(void)
{
    int descriptors = count_descriptors();
    errno = EXFULL;
    int error = perf_map_open(&map, folder, PID);
    ck_assert_msg(error == 0, "%s: %s", map.path, strerror(error));
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_descriptors(), descriptors);
}

static void append(uint64_t address, size_t size, const char *name, size_t length)
{
    errno = EXFULL;
    int error = perf_map_append(&map, address, size, name, length);
    ck_assert_msg(error == 0, "%s", strerror(error));
    ck_assert_int_eq(errno, EXFULL);
    expected_length += (size_t)sprintf(expected + expected_length, "%" PRIx64 " %zx %.*s\n",
                                       address, size, (int)length, name);
}

/* Checks for exactly these lines and `empty` empty ones; or up to a page of them; or any number. */
enum { UP_TO_A_PAGE = -1, ANY = -2 };

static void check_file(int empty)
{
    size_t length;
    const char *text = read_file(map_path(), &length);
    ck_assert_msg(length >= expected_length, "%zu bytes, expected %zu", length, expected_length);
    ck_assert_msg(memcmp(text, expected, expected_length) == 0, "the lines are others");
    size_t newlines = strspn(text + expected_length, "\n");
    ck_assert_msg(newlines == length - expected_length, "there is something behind the lines");
    if (empty >= 0)
        ck_assert_uint_eq(newlines, (size_t)empty);
    else if (empty == UP_TO_A_PAGE)
        ck_assert_uint_lt(newlines, PAGE);
}

static void finish(void)
{
    errno = EXFULL;
    perf_map_finish(&map);
    ck_assert_int_eq(errno, EXFULL);
    check_file(0);
}

TEST(line_is_as_perf_wants_it)
{
    static const char name[] = "py::main:/srv/app.py, and what is not part of it";
    open_map();
    check_file(0);
    ck_assert_int_eq(perf_map_append(&map, 0x7f31c0de1010, 16, name, 20), 0);
    ck_assert_int_eq(
        strncmp(read_file(map_path(), NULL), "7f31c0de1010 10 py::main:/srv/app.py\n\n\n\n", 40),
        0);
    perf_map_finish(&map);
    ck_assert_str_eq(read_file(map_path(), NULL), "7f31c0de1010 10 py::main:/srv/app.py\n");
}

TEST(numbers_of_any_size)
{
    open_map();
    append(0, 0, "zero", 4);
    for (uint64_t bit = 1; bit != 0; bit <<= 1) {
        append(bit, bit - 1, "one bit", 7);
        append(bit - 1, bit, "all below it", 12);
    }
    append(UINT64_MAX, SIZE_MAX, "all", 3);
    append(0x123456789abcdef0, 0xfedcba9876543210, "", 0);
    check_file(UP_TO_A_PAGE);
    finish();
}

TEST(only_the_user_may_read_it)
{
    struct stat status;
    umask(0);
    open_map();
    append(1, 1, "x", 1);
    ck_assert_int_eq(stat(map_path(), &status), 0);
    ck_assert_uint_eq(status.st_mode, S_IFREG | 0600);
    ck_assert_uint_eq(status.st_nlink, 1);
}

TEST(path_is_perfs)
{
    open_map();
    ck_assert_str_eq(map.path, map_path());
    ck_assert_int_eq(count_entries(), 1);
    perf_map_finish(&map);
    ck_assert_int_eq(count_entries(), 1);
}

TEST(grows_by_pages)
{
    struct stat status;
    open_map();
    int descriptors = count_descriptors();
    for (int i = 0; i < 6000; i++) { /* more than three windows */
        char name[64];
        append(0x7f0000000000 + 16 * (uint64_t)i, 16, name,
               (size_t)sprintf(name, "py::function_%d:/srv/app.py", i));
        ck_assert_int_eq(stat(map_path(), &status), 0);
        ck_assert_int_eq(status.st_size % PAGE, 0);
        ck_assert_uint_lt((size_t)status.st_size - expected_length, PAGE);
        if (i % 500 == 0)
            check_file(UP_TO_A_PAGE);
    }
    ck_assert_uint_gt(expected_length, 3 * 65536);
    check_file(UP_TO_A_PAGE);
    ck_assert_int_eq(count_descriptors(), descriptors);
    finish();
}

/* Lines that end at, before and after the ends of pages and of the mapped window. */
TEST(lengths_around_every_border)
{
    static char name[300000];
    static const size_t borders[] = {4096, 8192, 61440, 65536, 69632, 131072, 200000};
    memset(name, 'n', sizeof name);
    open_map();
    for (size_t i = 0; i < LENGTH_OF(borders); i++)
        for (size_t length = borders[i] - 10; length < borders[i] + 10; length += i < 2 ? 1 : 5) {
            append(0x1000, 16, name, length);
            append(0x1000, 16, "short", 5);
        }
    check_file(UP_TO_A_PAGE);
    finish();
}

TEST(fills_a_page_to_the_last_byte)
{
    char name[PAGE];
    memset(name, 'n', sizeof name);
    open_map();
    append(0x1000, 16, name, PAGE - strlen("1000 10 \n"));
    ck_assert_uint_eq(expected_length, PAGE);
    check_file(0);
    append(0x1000, 16, "next", 4);
    check_file(UP_TO_A_PAGE);
    finish();
}

TEST(closed_takes_lines_and_drops_them)
{
    static struct perf_map never_opened;
    ck_assert_int_eq(perf_map_append(&never_opened, 1, 1, "x", 1), 0);
    perf_map_finish(&never_opened);
    perf_map_abandon(&never_opened);

    open_map();
    append(1, 1, "x", 1);
    finish();
    ck_assert_int_eq(perf_map_append(&map, 1, 1, "dropped", 7), 0);
    check_file(0);
    perf_map_finish(&map);
    check_file(0);
    perf_map_abandon(&map);
    ck_assert_int_eq(perf_map_append(&map, 1, 1, "dropped", 7), 0);
    check_file(0);
}

/* Files that an earlier program of this process, or of one with its pid, may have left. */
static const struct left {
    size_t text, newlines;
} left[] = {
    {0, 0},
    {0, 1},
    {0, PAGE},
    {0, 3 * PAGE + 1},
    {10, 0},
    {10, 1},
    {10, PAGE},
    {10, PAGE - 10},
    {10, 5 * PAGE - 10},
    {PAGE - 1, 0},
    {PAGE - 1, 1},
    {PAGE, 0},
    {PAGE, 1},
    {PAGE, PAGE},
    {PAGE + 1, 0},
    {PAGE + 1, 1},
    {2 * PAGE, 0},
    {3 * PAGE - 1, 1},
    {65536, 0},
    {65535, 1},
    {65536, 3 * PAGE},
    {100000, 1},
    {100000, 0},
};

static void leave(const struct left *row)
{
    clear_folder();
    memset(expected, 'x', row->text);
    memset(expected + row->text, '\n', row->newlines);
    write_file(map_path(), expected, row->text + row->newlines);
    expected_length = row->text;
}

TEST(appends_to_what_is_there)
{
    for (size_t i = 0; i < LENGTH_OF(left); i++) {
        leave(&left[i]);
        open_map();
        if (left[i].text > 0)
            expected[expected_length++] = '\n';
        append(0x1000, 16, "first", 5);
        check_file(ANY);
        append(0x1010, 16, "second", 6);
        finish();
    }
}

TEST(finished_without_a_line)
{
    for (size_t i = 0; i < LENGTH_OF(left); i++) {
        leave(&left[i]);
        open_map();
        perf_map_finish(&map); /* adds nothing, not even a newline */
        if (left[i].text > 0 && left[i].newlines > 0)
            expected[expected_length++] = '\n';
        check_file(0);
    }
}

/* exec without perf_map_finish: the next program in the same process appends. */
TEST(survives_exec)
{
    char name[64];
    for (int program = 0; program < 20; program++) {
        open_map();
        for (int i = 0; i < 97; i++)
            append((uint64_t)i, 16, name, (size_t)sprintf(name, "py::f%d:%d.py", i, program));
        perf_map_abandon(&map);
    }
    check_file(UP_TO_A_PAGE);
    ck_assert_int_eq(count_entries(), 1);
}

TEST(child_leaves_it_alone)
{
    open_map();
    append(1, 1, "parent", 6);
    pid_t pid = fork();
    if (pid == 0) {
        errno = EXFULL;
        perf_map_abandon(&map);
        int error = perf_map_append(&map, 2, 2, "child", 5);
        perf_map_finish(&map);
        _exit(error != 0 || errno != EXFULL || map.open);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    append(3, 3, "parent", 6);
    check_file(UP_TO_A_PAGE);
    finish();
}

static const char *long_name(int i, size_t *length)
{
    static char name[128];
    *length = (size_t)snprintf(name, sizeof name, "py::function_%d_%.*s:/srv/app.py", i, i % 60,
                               "____________________________________________________________");
    return name;
}

static void append_and_die(int count)
{
    perf_map_open(&map, folder, PID);
    for (int i = 0; i < count; i++) {
        size_t length;
        const char *name = long_name(i, &length);
        perf_map_append(&map, (uint64_t)i, 16, name, length);
    }
    kill(getpid(), SIGKILL);
}

TEST(killed_process_loses_nothing)
{
    static const int counts[] = {0, 1, 2, 53, 1000, 5000};
    for (size_t i = 0; i < LENGTH_OF(counts); i++) {
        int status;
        clear_folder();
        pid_t pid = fork();
        if (pid == 0)
            append_and_die(counts[i]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        expected_length = 0;
        for (int j = 0; j < counts[i]; j++) {
            size_t length;
            const char *name = long_name(j, &length);
            expected_length +=
                (size_t)sprintf(expected + expected_length, "%x 10 %.*s\n", j, (int)length, name);
        }
        check_file(UP_TO_A_PAGE);
    }
}

/* Returns the number of lines after checking them. The last may be incomplete: the kill came in
 * between. */
static int check_killed_at_random(void)
{
    char wanted[256];
    const char *line = read_file(map_path(), NULL);
    for (int i = 0;; i++) {
        if (line[strspn(line, "\n")] == '\0')
            return i;
        size_t length, got = strcspn(line, "\n");
        const char *name = long_name(i, &length);
        length = (size_t)snprintf(wanted, sizeof wanted, "%x 10 %.*s", i, (int)length, name);
        bool last = line[got + strspn(line + got, "\n")] == '\0';
        ck_assert_msg(strncmp(line, wanted, got) == 0 && (got == length || last),
                      "line %d: %.*s, expected %s", i, (int)got, line, wanted);
        line += got + 1;
    }
}

static bool has_a_line(void)
{
    char first = '\n';
    int fd = open(map_path(), O_RDONLY | O_CLOEXEC);
    bool has = fd >= 0 && read(fd, &first, 1) == 1 && first != '\n';
    if (fd >= 0)
        close(fd);
    return has;
}

/* Half of them when the map exists, the others when its first line does, which may take long. */
TEST(killed_at_any_moment)
{
    int lines = 0;
    for (unsigned i = 0; i < 40; i++) {
        int status;
        clear_folder();
        pid_t pid = fork();
        if (pid == 0)
            append_and_die(200000);
        while (i % 2 == 0 ? access(map_path(), F_OK) != 0 : !has_a_line())
            continue;
        usleep(37 * i);
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        lines += check_killed_at_random();
    }
    ck_assert_int_gt(lines, 0);
}

/* A child's map gets the lines of its parent's, without the empty lines at its end; also if they
 * are longer than a block. */
TEST(copies_the_lines_of_another)
{
    struct perf_map other;
    size_t counts[] = {0, 1, 300};
    for (size_t i = 0; i < LENGTH_OF(counts); i++) {
        ck_assert_int_eq(perf_map_open(&other, folder, PID + 1), 0);
        for (size_t j = 0; j < counts[i]; j++) {
            char name[40];
            size_t length = (size_t)snprintf(name, sizeof name, "py::parent_%zu:/srv/app.py", j);
            ck_assert_int_eq(perf_map_append(&other, 0x1000 + j, 16, name, length), 0);
            expected_length +=
                (size_t)sprintf(expected + expected_length, "%zx 10 %s\n", 0x1000 + j, name);
        }
        open_map();
        errno = EXFULL;
        ck_assert_int_eq(perf_map_copy(&map, other.path), 0);
        ck_assert_int_eq(errno, EXFULL);
        append(0x9000, 16, "own", 3);
        check_file(UP_TO_A_PAGE);
        finish();
        perf_map_finish(&other);
        ck_assert_int_eq(unlink(other.path), 0);
    }
}

TEST(copies_no_other_files)
{
    open_map();
    append(1, 1, "x", 1);
    ck_assert_int_eq(symlink("/etc/passwd", in_folder("link")), 0);
    ck_assert_int_ne(perf_map_copy(&map, in_folder("link")), 0);
    ck_assert_int_ne(perf_map_copy(&map, in_folder("nothing")), 0);
    ck_assert_int_eq(perf_map_copy(&map, folder), EPERM);
    ck_assert_int_eq(perf_map_copy(&map, "/dev/null"), EPERM);
    check_file(UP_TO_A_PAGE);
    finish();
    ck_assert_int_eq(perf_map_copy(&map, map_path()), EPERM); /* a closed map */
}
