/* test_perf_map_hostile.c - a map file that was planted, removed or replaced: an error, and no other
 * effect. Disks and limits without room: test_perf_map_full.c. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "jitdump/perf_map.h"
#include "support/support.h"

enum { PAGE = 4096, PID = 4711 };

static struct perf_map map;
static const char precious[] = "foreign data\n";

static const char *map_path(void)
{
    return in_folder("perf-%d.map", PID);
}

/* Checks that the file is unchanged, its mode too. */
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

TEST(link_to_a_file)
{
    write_file(in_folder("target"), precious, strlen(precious));
    ck_assert_int_eq(symlink("target", map_path()), 0);
    check_refused(folder, ELOOP);
    check_precious(in_folder("target"));
}

TEST(link_to_nowhere)
{
    ck_assert_int_eq(symlink("target", map_path()), 0);
    check_refused(folder, ELOOP);
    ck_assert_int_ne(access(in_folder("target"), F_OK), 0);
}

TEST(file_with_another_name)
{
    write_file(in_folder("target"), precious, strlen(precious));
    ck_assert_int_eq(link(in_folder("target"), map_path()), 0);
    check_refused(folder, EPERM);
    check_precious(in_folder("target"));
}

TEST(file_of_another_user)
{
    write_file(map_path(), precious, strlen(precious));
    if (chown(map_path(), 12345, 12345) != 0) {
        skip("chown", strerror(errno));
        return;
    }
    check_refused(folder, EPERM);
    check_precious(map_path());
}

TEST(pipe_does_not_block)
{
    ck_assert_int_eq(mkfifo(map_path(), 0600), 0);
    alarm(10);
    check_refused(folder, EPERM);
    alarm(0);
}

TEST(other_kinds_of_file)
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

TEST(odd_directories)
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

/* Appends to a file whose path leads elsewhere now, which is found when it has to grow. */
static void check_stale(void)
{
    int error = 0, lines = 0;
    errno = EXFULL;
    for (; error == 0 && lines < PAGE; lines++)
        error = perf_map_append(&map, 1, 1, "more", 4);
    ck_assert_msg(error == ESTALE, "%s", strerror(error));
    ck_assert_int_eq(errno, EXFULL);
    ck_assert(!map.open);
    ck_assert_int_eq(perf_map_append(&map, 1, 1, "dropped", 7), 0);
}

/* The map can be opened again, as a new file or at the end of the present one. */
static void check_opens_anew(const char *before)
{
    char text[200];
    snprintf(text, sizeof text, "%s2 2 anew\n", before);
    ck_assert_int_eq(perf_map_open(&map, folder, PID), 0);
    ck_assert_int_eq(perf_map_append(&map, 2, 2, "anew", 4), 0);
    perf_map_finish(&map);
    ck_assert_str_eq(read_file(map_path(), NULL), text);
}

static void open_with_a_line(void)
{
    ck_assert_int_eq(perf_map_open(&map, folder, PID), 0);
    ck_assert_int_eq(perf_map_append(&map, 1, 1, "first", 5), 0);
}

TEST(removed_while_open)
{
    open_with_a_line();
    ck_assert_int_eq(unlink(map_path()), 0);
    check_stale();
    ck_assert_int_eq(count_entries(), 0);
    check_opens_anew("");
}

TEST(exchanged_while_open)
{
    open_with_a_line();
    write_file(in_folder("other"), precious, strlen(precious));
    ck_assert_int_eq(rename(in_folder("other"), map_path()), 0);
    check_stale();
    check_precious(map_path());
    check_opens_anew(precious);
}

TEST(exchanged_before_the_end)
{
    open_with_a_line();
    write_file(in_folder("other"), precious, strlen(precious));
    ck_assert_int_eq(rename(in_folder("other"), map_path()), 0);
    errno = EXFULL;
    perf_map_finish(&map);
    ck_assert_int_eq(errno, EXFULL);
    check_precious(map_path());
}

TEST(removed_before_the_end)
{
    open_with_a_line();
    ck_assert_int_eq(unlink(map_path()), 0);
    errno = EXFULL;
    perf_map_finish(&map);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_entries(), 0);
}

TEST(link_put_in_its_place)
{
    open_with_a_line();
    write_file(in_folder("target"), precious, strlen(precious));
    ck_assert_int_eq(unlink(map_path()), 0);
    ck_assert_int_eq(symlink("target", map_path()), 0);
    check_stale();
    check_precious(in_folder("target"));
    check_refused(folder, ELOOP);
}

TEST(truncated_while_open)
{
    static const off_t sizes[] = {0, 3, PAGE - 1};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        clear_folder();
        open_with_a_line();
        ck_assert_int_eq(truncate(map_path(), sizes[i]), 0);
        usleep(100); /* longer than A_MOMENT */
        ck_assert_int_eq(perf_map_append(&map, 1, 1, "lost", 4), ESTALE);
        ck_assert(!map.open);
        check_opens_anew(sizes[i] == 0 ? "" : sizes[i] == 3 ? "1 1\n" : "1 1 first\n");
    }
}

/* Another writer of the same file, in another container: all lines of both are complete. */
TEST(two_writers)
{
    static struct perf_map other;
    int ours = 0, theirs = 0;
    open_with_a_line();
    ck_assert_int_eq(perf_map_open(&other, folder, PID), 0);
    for (int i = 0; i < 3000; i++) {
        ck_assert_int_eq(perf_map_append(&map, 1, 1, "ours", 4), 0);
        for (int j = 0; j < i % 3; j++)
            ck_assert_int_eq(perf_map_append(&other, 2, 2, "theirs, longer", 14), 0);
    }
    perf_map_finish(&map);
    int error = perf_map_append(&other, 2, 2, "theirs, longer", 14);
    ck_assert(error == 0 || error == ESTALE);
    theirs -= error == 0 ? 1 : 0;
    perf_map_finish(&other);
    for (const char *line = read_file(map_path(), NULL); *line != '\0';
         line = strchr(line, '\n') + 1) {
        if (strncmp(line, "1 1 ours\n", 9) == 0)
            ours++;
        else if (strncmp(line, "2 2 theirs, longer\n", 19) == 0)
            theirs++;
        else
            ck_assert_msg(*line == '\n' || strncmp(line, "1 1 first\n", 10) == 0, "%.40s", line);
    }
    ck_assert_int_eq(ours, 3000);
    ck_assert_int_eq(theirs, 3000);
}

/* CPython's own writer appends to the end of the file, behind our reserved bytes. */
TEST(lines_behind_ours)
{
    open_with_a_line();
    int fd = open(map_path(), O_WRONLY | O_APPEND | O_CLOEXEC);
    ck_assert_int_eq(write(fd, "9 9 foreign\n", 12), 12);
    close(fd);
    for (int i = 0; i < PAGE; i++)
        ck_assert_int_eq(perf_map_append(&map, 1, 1, "more", 4), 0);
    perf_map_finish(&map);
    const char *text = read_file(map_path(), NULL), *found = strstr(text, "\n9 9 foreign\n");
    ck_assert_ptr_nonnull(found);
    int lines = 0;
    for (const char *at = text; (at = strstr(at, "1 1 more\n")) != NULL; at++)
        lines++;
    ck_assert_int_eq(lines, PAGE);
}

static void set_age(const char *path, time_t seconds)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = time(NULL) - seconds}};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* An ended process with our pid: its lines belong to another address space. */
TEST(map_of_an_earlier_process)
{
    struct stat before, after;
    write_file(map_path(), precious, strlen(precious));
    set_age(map_path(), 3600);
    ck_assert_int_eq(stat(map_path(), &before), 0);
    int old = open(map_path(), O_RDONLY | O_CLOEXEC); /* so that its inode is not used again */
    open_with_a_line();
    perf_map_finish(&map);
    ck_assert_str_eq(read_file(map_path(), NULL), "1 1 first\n");
    ck_assert_int_eq(stat(map_path(), &after), 0);
    ck_assert_uint_ne(before.st_ino, after.st_ino); /* not truncated: it may be mapped */
    ck_assert_int_eq(fstat(old, &after), 0);
    ck_assert_int_eq(after.st_size, (off_t)strlen(precious));
    ck_assert_uint_eq(after.st_nlink, 0);
    close(old);
    ck_assert_int_eq(count_entries(), 1);
}

TEST(map_of_this_process)
{
    static const time_t ages[] = {0, 1, -3600}; /* as old as this process, in seconds; the future */
    for (size_t i = 0; i < LENGTH_OF(ages); i++) {
        clear_folder();
        write_file(map_path(), "7 7 before exec\n", 16);
        set_age(map_path(), ages[i]);
        check_opens_anew("7 7 before exec\n");
    }
}

/* A process that still uses the old file gets an error, and does not crash. */
TEST(another_container_starts_anew)
{
    static struct perf_map other;
    ck_assert_int_eq(perf_map_open(&other, folder, PID), 0);
    ck_assert_int_eq(perf_map_append(&other, 2, 2, "theirs", 6), 0);
    set_age(map_path(), 3600);
    open_with_a_line();
    usleep(100);
    ck_assert_int_eq(perf_map_append(&other, 2, 2, "theirs", 6), ESTALE);
    perf_map_finish(&other);
    perf_map_finish(&map);
    ck_assert_str_eq(read_file(map_path(), NULL), "1 1 first\n");
}

TEST_IN_CHILD(age_that_cannot_be_known)
{
    write_file(map_path(), precious, strlen(precious));
    set_age(map_path(), 3600);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/proc", "tmpfs", 0, NULL) != 0)
        child_skip("mount", errno);
    int error = perf_map_open(&map, folder, PID);
    child_check(error == 0, "%s: %s", map.path, strerror(error));
    child_check(map.tail.length == (off_t)strlen(precious), "%d", (int)map.tail.length);
}

TEST(copies_from_root_and_this_user_alone)
{
    write_file(in_folder("other"), "8 8 other", 9); /* its last line is incomplete */
    open_with_a_line();
    ck_assert_int_eq(perf_map_copy(&map, in_folder("other")), 0);
    ck_assert_int_eq(perf_map_append(&map, 1, 1, "last", 4), 0);
    if (chown(in_folder("other"), 12345, 12345) != 0)
        skip("chown", strerror(errno));
    else
        ck_assert_int_eq(perf_map_copy(&map, in_folder("other")), EPERM);
    perf_map_finish(&map);
    ck_assert_str_eq(read_file(map_path(), NULL), "1 1 first\n8 8 other\n1 1 last\n");
}
