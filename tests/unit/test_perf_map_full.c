/* test_perf_map_full.c - a map on full disks and within limits: an error, no part of a line, and the
 * next lines when there is room again. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jitdump/perf_map.h"
#include "support/support.h"

enum { PAGE = 4096, PID = 4711 };

static struct perf_map map;
static const char earlier[] = "foreign data\n";

static const char *map_path(void)
{
    return in_folder("perf-%d.map", PID);
}

/* Appends until there is an error; returns the number of lines. */
static int child_append_until(int expected, int at_most)
{
    char text[128];
    int count = 0, error = 0;
    errno = EXFULL;
    for (; count < at_most; count++) {
        size_t length = (size_t)snprintf(text, sizeof text, "py::function_%d:/srv/app.py", count);
        error = perf_map_append(&map, (uintptr_t)count, 16, text, length);
        if (error != 0)
            break;
    }
    child_check(error == expected, "%s after %d lines, expected %s", strerror(error), count,
                strerror(expected));
    child_check(errno == EXFULL, "%s", strerror(errno));
    for (int again = 0; again < 3; again++) {
        error = perf_map_append(&map, (uintptr_t)count, 16, text, strlen(text));
        child_check(error == expected, "then %s", strerror(error));
    }
    child_check(map.open, "%s", "it is closed");
    return count;
}

/* Checks for the lines of child_append_until, and no others. */
static void child_check_lines(int count)
{
    perf_map_finish(&map);
    FILE *file = fopen(map_path(), "re");
    child_check(file != NULL, "%s: %s", map_path(), strerror(errno));
    for (int i = 0; i < count; i++) {
        char wanted[128], line[128] = "";
        snprintf(wanted, sizeof wanted, "%x 10 py::function_%d:/srv/app.py\n", i, i);
        child_check(fgets(line, sizeof line, file) != NULL && strcmp(line, wanted) == 0,
                    "line %d: %s", i, line);
    }
    child_check(fgetc(file) == EOF, "there is more than %d lines", count);
    fclose(file);
}

/* After the shortage has ended, more lines follow the old ones. */
static void child_go_on(int count, int more)
{
    char text[128];
    for (int i = count; i < count + more; i++) {
        size_t length = (size_t)snprintf(text, sizeof text, "py::function_%d:/srv/app.py", i);
        int error = perf_map_append(&map, (uintptr_t)i, 16, text, length);
        child_check(error == 0, "line %d: %s", i, strerror(error));
    }
    child_check_lines(count + more);
}

static void set_limit(int which, rlim_t value)
{
    struct rlimit limit;
    getrlimit(which, &limit);
    limit.rlim_cur = value == RLIM_INFINITY ? limit.rlim_max : value;
    child_check(setrlimit(which, &limit) == 0, "%s", strerror(errno));
}

static void child_open(void)
{
    int error = perf_map_open(&map, folder, PID);
    child_check(error == 0, "%s: %s", map.path, strerror(error));
}

TEST_IN_CHILD(limit_of_nothing)
{
    limit_file_size(0);
    child_open();
    child_check_lines(child_append_until(EFBIG, 10));
}

TEST_IN_CHILD(limit_of_some_pages)
{
    limit_file_size(3 * PAGE);
    child_open();
    int count = child_append_until(EFBIG, 10000);
    set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
    child_go_on(count, 1000);
}

TEST_IN_CHILD(limit_within_a_page)
{
    limit_file_size(3 * PAGE + 100);
    child_open();
    int count = child_append_until(EFBIG, 10000);
    set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
    child_go_on(count, 1000);
}

TEST_IN_CHILD(limit_set_later)
{
    int error = 0;
    child_open();
    for (int i = 0; i < 1000; i++)
        child_check(perf_map_append(&map, 1, 1, "before", 6) == 0, "line %d", i);
    limit_file_size(100);
    for (int i = 0; i < 1000 && error == 0; i++)
        error = perf_map_append(&map, 1, 1, "after", 5);
    child_check(error == EFBIG, "%s", strerror(error));
}

/* Our own newline would be the first byte beyond the limit. */
TEST_IN_CHILD(limit_of_what_is_there)
{
    const size_t length = strlen(earlier) - 1;
    int fd = open(map_path(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    child_check(write(fd, earlier, length) == (ssize_t)length, "%s", strerror(errno));
    close(fd);
    limit_file_size(length);
    child_open();
    int error = perf_map_append(&map, 1, 1, "x", 1);
    child_check(error == EFBIG, "%s", strerror(error));
    struct stat status;
    stat(map_path(), &status);
    child_check(status.st_size == (off_t)length, "%zd bytes", (ssize_t)status.st_size);
}

TEST_IN_CHILD(small_disk)
{
    child_mount_small_disk(10 * PAGE, 0);
    child_open();
    int count = child_append_until(ENOSPC, 100000);
    child_check(mount(NULL, folder, NULL, MS_REMOUNT, "size=1M") == 0, "%s", strerror(errno));
    child_go_on(count, 1000);
}

TEST_IN_CHILD(no_disk_at_all)
{
    child_mount_small_disk(PAGE, 0);
    int fd = open(in_folder("full"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    child_check(pwrite(fd, earlier, 1, 0) == 1, "%s", strerror(errno));
    close(fd);
    child_open();
    child_check_lines(child_append_until(ENOSPC, 10));
}

TEST_IN_CHILD(read_only_disk)
{
    child_mount_small_disk(PAGE, MS_RDONLY);
    int error = perf_map_open(&map, folder, PID);
    child_check(error == EROFS, "%s", strerror(error));
}

TEST_IN_CHILD(descriptors_used_up)
{
    child_skip_under_valgrind();
    child_open();
    set_limit(RLIMIT_NOFILE, 0);
    int count = child_append_until(EMFILE, 10000);
    static struct perf_map other;
    child_check(perf_map_open(&other, folder, PID) == EMFILE, "%s", "it opens");
    set_limit(RLIMIT_NOFILE, RLIM_INFINITY);
    child_go_on(count, 1000);
}
