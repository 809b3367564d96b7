/* test_own_file.c - files opened by their path: still ours, no longer ours, or only a transient
 * error. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/own_file.h"

static struct own_file file;

static const char *path(void)
{
    return in_folder("file");
}

static void make(void)
{
    struct stat status;
    int fd = own_file_open(path(), O_CREAT | O_EXCL);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_uint_eq(status.st_mode, S_IFREG | 0600);
    ck_assert(own_file_is_safe(&status));
    ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
    file = own_file_of(&status);
    close(fd);
}

static void check_again(int expected)
{
    struct stat status;
    int fd = 4711, descriptors = count_descriptors();
    int error = own_file_open_again(&file, path(), &fd, &status);
    ck_assert_msg(error == expected, "%s, expected %s", strerror(error), strerror(expected));
    ck_assert((fd >= 0) == (expected == 0));
    if (fd >= 0)
        close(fd);
    ck_assert_int_eq(count_descriptors(), descriptors);
}

TEST(the_same_file)
{
    make();
    check_again(0);
    ck_assert_int_eq(rename(path(), in_folder("moved")), 0);
    check_again(ESTALE);
    ck_assert_int_eq(rename(in_folder("moved"), path()), 0);
    check_again(0);
}

TEST(no_longer_ours)
{
    make();
    int old = open(path(), O_RDONLY | O_CLOEXEC); /* so that its inode is not reused */
    ck_assert_int_eq(unlink(path()), 0);
    check_again(ESTALE);
    write_file(path(), "other", 5);
    check_again(ESTALE);
    own_file_remove(&file, path());
    ck_assert_str_eq(read_file(path(), NULL), "other");
    ck_assert_int_eq(unlink(path()), 0);
    ck_assert_int_eq(symlink("other", path()), 0);
    check_again(ESTALE);
    ck_assert_int_eq(unlink(path()), 0);
    ck_assert_int_eq(mkdir(path(), 0700), 0);
    check_again(ESTALE);
    ck_assert_int_eq(rmdir(path()), 0);
    ck_assert_int_eq(mkfifo(path(), 0600), 0);
    alarm(10);
    check_again(ESTALE);
    own_file_remove(&file, path());
    ck_assert_int_eq(access(path(), F_OK), 0);
    close(old);
}

TEST(removes_its_own)
{
    make();
    own_file_remove(&file, path());
    ck_assert_int_eq(count_entries(), 0);
    own_file_remove(&file, path());
}

TEST(only_safe_files)
{
    struct stat status;
    make();
    ck_assert_int_eq(link(path(), in_folder("another")), 0);
    ck_assert_int_eq(stat(path(), &status), 0);
    ck_assert(!own_file_is_safe(&status));
    ck_assert_int_eq(unlink(in_folder("another")), 0);
    ck_assert_int_eq(stat(path(), &status), 0);
    ck_assert(own_file_is_safe(&status));
    status.st_uid++;
    ck_assert(!own_file_is_safe(&status));
    ck_assert_int_eq(stat(folder, &status), 0);
    ck_assert(!own_file_is_safe(&status));
}

static void no_descriptors(void)
{
    struct rlimit none = {0, 0};
    struct stat status;
    int fd;
    child_skip_under_valgrind();
    setrlimit(RLIMIT_NOFILE, &none);
    int error = own_file_open_again(&file, path(), &fd, &status);
    child_check(error == EMFILE && fd == -1, "%s", strerror(error));
}

TEST(limits_are_of_the_moment)
{
    make();
    assert_in_child(no_descriptors);
}

TEST_IN_CHILD(writes_within_limits)
{
    int fd = own_file_open(path(), O_CREAT);
    limit_file_size(100);
    child_check(own_file_write(fd, "0123456789", 10, 90) == 0, "%s", "refused");
    child_check(own_file_write(fd, "0123456789", 10, 91) == EFBIG, "%s", "written");
    child_check(own_file_write(fd, "0123456789", 10, 1000) == EFBIG, "%s", "written");
    child_check(own_file_may_reach(100) == 0 && own_file_may_reach(101) == EFBIG, "%s", "limit");
    struct stat status;
    fstat(fd, &status);
    child_check(status.st_size == 100, "%d", (int)status.st_size);
}

TEST_IN_CHILD(writes_on_a_small_disk)
{
    static char bytes[20000];
    child_mount_small_disk(8192, 0);
    int fd = own_file_open(path(), O_CREAT);
    child_check(own_file_write(fd, bytes, 8192, 0) == 0, "%s", "refused");
    child_check(own_file_write(fd, bytes, sizeof bytes, 0) == ENOSPC, "%s", "written");
    child_check(own_file_write(-1, bytes, 1, 0) == EBADF, "%s", "written");
    child_check(!own_file_is_copied_on_write(fd), "%s", "tmpfs is copied");
    child_check(own_file_is_copied_on_write(-1), "%s", "what is not known is trusted");
}
