/* test_perf_map_hostile.c - a map file that somebody has planted, taken away or exchanged, and
 * disks and limits without room: an error, and nothing else. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "jitdump/perf_map.h"
#include "support/support.h"

enum { PAGE = 4096, PID = 4711 };

static struct perf_map map;
static const char precious[] = "somebody's data\n";

static const char *map_path(void)
{
    return in_folder("perf-%d.map", PID);
}

/* The file is as it was: not a byte, not its mode. */
static void check_precious(const char *path)
{
    struct stat status;
    ck_assert_str_eq(read_file(path, NULL), precious);
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_uint_eq(status.st_mode, S_IFREG | 0600);
}

static void check_refused(const char *directory, int expected)
{
    int descriptors = count_descriptors();
    errno = EXFULL;
    int error = perf_map_open(&map, directory, PID);
    ck_assert_msg(error == expected, "%s, expected %s", strerror(error), strerror(expected));
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_descriptors(), descriptors);
    ck_assert(!map.open);
    ck_assert_int_eq(perf_map_append(&map, 1, 1, "dropped", 7), 0);
    perf_map_finish(&map);
}

START_TEST(link_to_a_file)
{
    write_file(in_folder("target"), precious, strlen(precious));
    ck_assert_int_eq(symlink("target", map_path()), 0);
    check_refused(folder, ELOOP);
    check_precious(in_folder("target"));
}
END_TEST

START_TEST(link_to_nowhere)
{
    ck_assert_int_eq(symlink("target", map_path()), 0);
    check_refused(folder, ELOOP);
    ck_assert_int_ne(access(in_folder("target"), F_OK), 0);
}
END_TEST

START_TEST(file_with_another_name)
{
    write_file(in_folder("target"), precious, strlen(precious));
    ck_assert_int_eq(link(in_folder("target"), map_path()), 0);
    check_refused(folder, EPERM);
    check_precious(in_folder("target"));
}
END_TEST

START_TEST(file_of_somebody_else)
{
    write_file(map_path(), precious, strlen(precious));
    if (chown(map_path(), 12345, 12345) != 0) {
        skip("chown", strerror(errno));
        return;
    }
    check_refused(folder, EPERM);
    check_precious(map_path());
}
END_TEST

START_TEST(pipe_does_not_block)
{
    ck_assert_int_eq(mkfifo(map_path(), 0600), 0);
    alarm(10);
    check_refused(folder, EPERM);
    alarm(0);
}
END_TEST

START_TEST(other_kinds_of_file)
{
    ck_assert_int_eq(mkdir(map_path(), 0700), 0);
    check_refused(folder, EISDIR);
    ck_assert_int_eq(rmdir(map_path()), 0);

    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", map_path());
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    check_refused(folder, ENXIO);
    close(fd);
    ck_assert_int_eq(unlink(map_path()), 0);

    if (mknod(map_path(), S_IFCHR | 0600, makedev(1, 3)) != 0) /* null(4) */
        skip("mknod", strerror(errno));
    else
        check_refused(folder, EPERM);
}
END_TEST

START_TEST(odd_directories)
{
    char deep[200];
    snprintf(deep, sizeof deep, "%s/%0100d", folder, 0);
    ck_assert_int_eq(mkdir(deep, 0700), 0);
    check_refused(deep, ENAMETOOLONG); /* and no file with half the name */
    check_refused(in_folder("missing"), ENOENT);
    write_file(in_folder("file"), precious, strlen(precious));
    check_refused(in_folder("file"), ENOTDIR);
    check_precious(in_folder("file"));
    ck_assert_int_eq(count_entries(), 2);
}
END_TEST

/* Appends until there is an error, and checks that all lines before it are in the file and nothing
 * else; in a child, where the path may be on a disk of its own. */
static void child_append_until(int expected, int at_most)
{
    char text[128];
    int count = 0, error = 0;
    errno = EXFULL;
    for (; error == 0 && count < at_most; count++) {
        size_t length = (size_t)snprintf(text, sizeof text, "py::function_%d:/srv/app.py", count);
        error = perf_map_append(&map, (uintptr_t)count, 16, text, length);
    }
    child_check(error == expected, "%s after %d lines, expected %s", strerror(error), count,
                strerror(expected));
    child_check(errno == EXFULL, "%s", strerror(errno));
    child_check(!map.open, "%s", "it stays open");
    child_check(perf_map_append(&map, 1, 1, "dropped", 7) == 0, "%s", "complains again");

    FILE *file = fopen(map_path(), "re");
    child_check(file != NULL, "%s: %s", map_path(), strerror(errno));
    for (int i = 0; i < count - 1; i++) {
        char wanted[128], line[128] = "";
        snprintf(wanted, sizeof wanted, "%x 10 py::function_%d:/srv/app.py\n", i, i);
        child_check(fgets(line, sizeof line, file) != NULL && strcmp(line, wanted) == 0,
                    "line %d: %s", i, line);
    }
    child_check(fgetc(file) == EOF, "there is more than %d lines", count - 1);
    fclose(file);
}

static void child_open(void)
{
    int error = perf_map_open(&map, folder, PID);
    child_check(error == 0, "%s: %s", map.path, strerror(error));
}

static void limit_of_nothing(void)
{
    limit_file_size(0);
    child_open();
    child_append_until(EFBIG, 10);
}

static void limit_of_some_pages(void)
{
    limit_file_size(3 * PAGE);
    child_open();
    child_append_until(EFBIG, 10000);
}

static void limit_within_a_page(void)
{
    limit_file_size(3 * PAGE + 100);
    child_open();
    child_append_until(EFBIG, 10000);
}

static void limit_set_later(void)
{
    child_open();
    for (int i = 0; i < 1000; i++)
        child_check(perf_map_append(&map, 1, 1, "before", 6) == 0, "line %d", i);
    limit_file_size(100);
    for (int i = 0; i < 1000 && map.open; i++)
        perf_map_append(&map, 1, 1, "after", 5);
    child_check(!map.open, "%s", "it grows on");
}

/* Our own newline would be the first byte beyond the limit. */
static void limit_of_what_is_there(void)
{
    const size_t length = strlen(precious) - 1;
    int fd = open(map_path(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    child_check(write(fd, precious, length) == (ssize_t)length, "%s", strerror(errno));
    close(fd);
    limit_file_size(length);
    child_open();
    int error = perf_map_append(&map, 1, 1, "x", 1);
    child_check(error == EFBIG, "%s", strerror(error));
    struct stat status;
    stat(map_path(), &status);
    child_check(status.st_size == (off_t)length, "%zd bytes", (ssize_t)status.st_size);
}

START_TEST(file_size_limits)
{
    static void (*const bodies[])(void) = {limit_of_nothing, limit_of_some_pages,
                                           limit_within_a_page, limit_set_later,
                                           limit_of_what_is_there};
    for (size_t i = 0; i < LENGTH_OF(bodies); i++) {
        clear_folder();
        assert_in_child(bodies[i]);
    }
}
END_TEST

static void small_disk(void)
{
    child_mount_small_disk(10 * PAGE, 0);
    child_open();
    child_append_until(ENOSPC, 100000);
}

static void no_disk_at_all(void)
{
    child_mount_small_disk(PAGE, 0);
    int fd = open(in_folder("full"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    child_check(pwrite(fd, precious, 1, 0) == 1, "%s", strerror(errno));
    close(fd);
    child_open();
    child_append_until(ENOSPC, 10);
}

static void read_only_disk(void)
{
    child_mount_small_disk(PAGE, MS_RDONLY);
    int error = perf_map_open(&map, folder, PID);
    child_check(error == EROFS, "%s", strerror(error));
}

START_TEST(full_disks)
{
    assert_in_child(small_disk);
    assert_in_child(no_disk_at_all);
    assert_in_child(read_only_disk);
}
END_TEST

static void no_descriptors(void)
{
    struct rlimit none = {0, 0};
    child_skip_under_valgrind();
    child_open();
    FILE *file = fopen(map_path(), "re");
    int error = perf_map_append(&map, 1, 1, "before", 6);
    child_check(error == 0, "%s", strerror(error));
    setrlimit(RLIMIT_NOFILE, &none);
    for (int i = 0; i < PAGE && error == 0; i++)
        error = perf_map_append(&map, 1, 1, "after", 5);
    child_check(error == EMFILE, "%s", strerror(error));
    child_check(!map.open, "%s", "it stays open");
    error = perf_map_open(&map, folder, PID);
    child_check(error == EMFILE, "%s", strerror(error));
    char line[64];
    child_check(fgets(line, sizeof line, file) != NULL && strcmp(line, "1 1 before\n") == 0, "%s",
                line);
    fclose(file);
}

START_TEST(descriptors_used_up)
{
    assert_in_child(no_descriptors);
}
END_TEST

/* Appends into a file whose path leads elsewhere by now: until it has to grow, nobody notices. */
static void check_growth_fails(int expected)
{
    int error = 0, lines = 0;
    errno = EXFULL;
    for (; error == 0 && lines < PAGE; lines++)
        error = perf_map_append(&map, 1, 1, "more", 4);
    ck_assert_msg(error == expected, "%s, expected %s", strerror(error), strerror(expected));
    ck_assert_int_eq(errno, EXFULL);
    ck_assert(!map.open);
    ck_assert_int_eq(perf_map_append(&map, 1, 1, "dropped", 7), 0);
}

static void open_with_a_line(void)
{
    ck_assert_int_eq(perf_map_open(&map, folder, PID), 0);
    ck_assert_int_eq(perf_map_append(&map, 1, 1, "first", 5), 0);
}

START_TEST(removed_while_open)
{
    open_with_a_line();
    ck_assert_int_eq(unlink(map_path()), 0);
    check_growth_fails(ENOENT);
    ck_assert_int_eq(count_entries(), 0);
}
END_TEST

START_TEST(exchanged_while_open)
{
    open_with_a_line();
    write_file(in_folder("other"), precious, strlen(precious));
    ck_assert_int_eq(rename(in_folder("other"), map_path()), 0);
    check_growth_fails(ESTALE);
    check_precious(map_path());
}
END_TEST

START_TEST(exchanged_before_the_end)
{
    open_with_a_line();
    write_file(in_folder("other"), precious, strlen(precious));
    ck_assert_int_eq(rename(in_folder("other"), map_path()), 0);
    errno = EXFULL;
    perf_map_finish(&map);
    ck_assert_int_eq(errno, EXFULL);
    check_precious(map_path());
}
END_TEST

START_TEST(removed_before_the_end)
{
    open_with_a_line();
    ck_assert_int_eq(unlink(map_path()), 0);
    errno = EXFULL;
    perf_map_finish(&map);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_entries(), 0);
}
END_TEST

START_TEST(link_put_in_its_place)
{
    open_with_a_line();
    write_file(in_folder("target"), precious, strlen(precious));
    ck_assert_int_eq(unlink(map_path()), 0);
    ck_assert_int_eq(symlink("target", map_path()), 0);
    check_growth_fails(ELOOP);
    check_precious(in_folder("target"));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        link_to_a_file,           link_to_nowhere,        file_with_another_name,
        file_of_somebody_else,    pipe_does_not_block,    other_kinds_of_file,
        odd_directories,          file_size_limits,       full_disks,
        descriptors_used_up,      removed_while_open,     exchanged_while_open,
        exchanged_before_the_end, removed_before_the_end, link_put_in_its_place,
    };
    return run_suite("perf_map_hostile", tests, LENGTH_OF(tests));
}
