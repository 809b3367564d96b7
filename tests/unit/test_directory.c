/* test_directory.c - numbers that are names in a folder: of /proc, and of one with other names. */
#include "preload/sampler/directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/support.h"

enum { MANY = 500 }; /* some twenty times what is read at once */

static void make(const char *name)
{
    write_file(in_folder("%s", name), "", 0);
}

/* How often each number below MANY is listed; `others` is the number of others. */
static int listed[MANY], others;

static void list(struct directory *directory)
{
    uint32_t number;
    memset(listed, 0, sizeof listed);
    others = 0;
    while (directory_next(directory, &number))
        ++*(number < MANY ? &listed[number] : &others);
    ck_assert(directory_is_whole(directory));
    ck_assert(!directory_next(directory, &number)); /* and stays at the end */
}

static void check_listed(int from, int to)
{
    for (int i = 0; i < MANY; i++)
        ck_assert_msg(listed[i] == (i >= from && i < to), "%d: %d times", i, listed[i]);
}

TEST(numbers_alone)
{
    struct directory directory;
    const char *const names[] = {"7",  "0",   "x",  "7x",    "x7",
                                 "-1", "1.5", " 3", "three", "4294967295"};
    for (size_t i = 0; i < LENGTH_OF(names); i++)
        make(names[i]);
    ck_assert(directory_open(&directory, folder));
    list(&directory);
    for (int i = 0; i < MANY; i++)
        ck_assert_msg(listed[i] == (i == 0 || i == 7), "%d: %d times", i, listed[i]);
    ck_assert_int_eq(others, 1);
    directory_close(&directory);
}

TEST(an_empty_folder)
{
    struct directory directory;
    ck_assert(directory_open(&directory, folder));
    list(&directory);
    check_listed(0, 0);
    ck_assert_int_eq(others, 0);
    directory_close(&directory);
}

/* More than fit into its memory; then changed, and listed anew. */
TEST(a_large_folder)
{
    struct directory directory;
    uint32_t number;
    char name[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "%d", i);
        make(name);
    }
    ck_assert(directory_open(&directory, folder));
    list(&directory);
    check_listed(0, MANY);
    directory_rewind(&directory);
    list(&directory);
    check_listed(0, MANY);
    directory_rewind(&directory);
    for (int i = 0; i < MANY / 2; i++)
        ck_assert(directory_next(&directory, &number));
    ck_assert(!directory_is_whole(&directory));
    for (int i = 0; i < MANY; i += 2)
        ck_assert_int_eq(unlink(in_folder("%d", i)), 0);
    directory_rewind(&directory);
    list(&directory);
    for (int i = 0; i < MANY; i++)
        ck_assert_msg(listed[i] == i % 2, "%d: %d times", i, listed[i]);
    directory_close(&directory);
}

TEST(this_process_has_descriptors)
{
    struct directory directory;
    int before = count_descriptors();
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert(directory_open(&directory, "/proc/self/fd"));
    list(&directory);
    ck_assert_int_eq(listed[fd], 1);
    ck_assert_int_eq(listed[directory.fd], 1);
    ck_assert_int_ne(fcntl((int)directory.fd, F_GETFD) & FD_CLOEXEC, 0);
    close(fd);
    directory_rewind(&directory);
    list(&directory);
    ck_assert_int_eq(listed[fd], 0);
    directory_close(&directory);
    ck_assert_int_eq(directory.fd, -1);
    ck_assert_int_eq(count_descriptors(), before);
}

/* One, and those of an emulator. */
static int count_threads(void)
{
    char line[100];
    int count = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (count == 0 && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "Threads: %d", &count);
    fclose(status);
    return count;
}

TEST(this_process_has_its_threads)
{
    struct directory directory;
    uint32_t number;
    ck_assert(directory_open(&directory, "/proc/self/task"));
    ck_assert(directory_next(&directory, &number));
    ck_assert_uint_eq(number, (uint32_t)getpid());
    for (int more = count_threads() - 1; more > 0; more--)
        ck_assert(directory_next(&directory, &number));
    ck_assert(!directory_next(&directory, &number));
    ck_assert(directory_is_whole(&directory));
    directory_close(&directory);
}

TEST(no_folder)
{
    struct directory directory;
    make("file");
    errno = 0;
    ck_assert(!directory_open(&directory, in_folder("nowhere")));
    ck_assert_int_eq(errno, ENOENT);
    ck_assert(!directory_open(&directory, in_folder("file")));
    ck_assert_int_eq(errno, ENOTDIR);
    directory_close(&directory);
}

/* After a failure, a number that is missing has not gone. */
TEST(a_folder_that_cannot_be_read)
{
    struct directory directory;
    uint32_t number;
    make("1");
    ck_assert(directory_open(&directory, folder));
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(dup2(fd, (int)directory.fd), directory.fd);
    ck_assert(!directory_next(&directory, &number));
    ck_assert(!directory_is_whole(&directory));
    directory_close(&directory);
    close(fd);
}
