/* test_mapping.c - the file behind an address: moved, removed, replaced, hidden by another. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/mapping.h"

enum { PAGE = 4096 };

static int open_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    return fd;
}

/* A file of a few bytes, mapped. */
static void *map_new_file(const char *path)
{
    write_file(path, "bytes", 5);
    int fd = open_file(path);
    void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    ck_assert_ptr_ne(page, MAP_FAILED);
    close(fd);
    return page;
}

static struct mapping find(const void *address)
{
    struct mapping mapping;
    int descriptors = count_descriptors();
    ck_assert_msg(mapping_find(address, &mapping), "%p: %s", address, strerror(errno));
    ck_assert_int_eq(count_descriptors(), descriptors);
    ck_assert_uint_le(mapping.start, (uintptr_t)address);
    ck_assert_uint_gt(mapping.end, (uintptr_t)address);
    return mapping;
}

static bool is_of(const struct mapping *mapping, const char *path)
{
    int fd = open_file(path), descriptors = count_descriptors();
    errno = EXFULL;
    bool same = mapping_is_of(mapping, fd);
    ck_assert_int_eq(errno, 0);
    ck_assert_int_eq(count_descriptors(), descriptors);
    close(fd);
    return same;
}

TEST(of_this_program)
{
    char path[PATH_MAX];
    ck_assert_ptr_nonnull(realpath("/proc/self/exe", path));
    struct mapping mapping = find((const void *)of_this_program_test);
    if (!under_valgrind())
        ck_assert_str_eq(mapping.path, path);
    ck_assert(is_of(&mapping, "/proc/self/exe") || under_valgrind());
    ck_assert(!is_of(&mapping, "/bin/true"));
}

TEST(of_no_file)
{
    struct mapping mapping;
    unsigned char *page = mmap(NULL, 3 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(page + PAGE, PAGE);
    mapping = find(page);
    ck_assert_uint_eq(mapping.inode, 0);
    ck_assert_uint_eq(mapping.end, (uintptr_t)page + PAGE);
    ck_assert(!is_of(&mapping, "/bin/true"));
    errno = EXFULL;
    ck_assert(!mapping_find(page + PAGE, &mapping));
    ck_assert_int_eq(errno, 0);
    ck_assert_uint_eq(find(page + 2 * PAGE).start, (uintptr_t)page + 2 * PAGE);
}

TEST(file_is_moved)
{
    static const char *const names[] = {"a file", "line\nbreak", "ends ", "\\134"};
    for (size_t i = 0; i < LENGTH_OF(names); i++) {
        void *page = map_new_file(in_folder("first"));
        const char *path = in_folder("%s", names[i]);
        ck_assert_int_eq(rename(in_folder("first"), path), 0);
        struct mapping mapping = find(page);
        ck_assert_str_eq(mapping.path, path);
        ck_assert(is_of(&mapping, path));
        munmap(page, PAGE);
    }
}

/* A file that was opened relative to an earlier current directory. */
TEST(directory_is_changed)
{
    ck_assert_int_eq(chdir(folder), 0);
    void *page = map_new_file("./relative");
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_str_eq(find(page).path, in_folder("relative"));
}

TEST(file_is_replaced)
{
    const char *path = in_folder("first"), *other = in_folder("other");
    void *page = map_new_file(path);
    ck_assert_int_eq(link(path, other), 0);
    struct mapping mapping = find(page);
    ck_assert(is_of(&mapping, other));
    write_file(in_folder("new"), "bytes", 5);
    ck_assert_int_eq(rename(in_folder("new"), path), 0);
    mapping = find(page);
    ck_assert(!is_of(&mapping, path));
    ck_assert(is_of(&mapping, other));
    ck_assert_msg(strstr(mapping.path, " (deleted)") != NULL, "%s", mapping.path);
}

/* Without /proc, as in a chroot. */
TEST_IN_CHILD(maps_cannot_be_read)
{
    struct mapping mapping = {.inode = 1};
    child_skip_under_valgrind();
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    child_forbid_open();
    child_check(!mapping_is_of(&mapping, fd), "%s", "compared");
    child_check(errno == EPERM, "%d", errno);
    child_check(!mapping_find(&mapping, &mapping), "%s", "found");
    child_check(errno == EPERM, "%d", errno);
}

TEST(after_free_addresses)
{
    char *pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(pages, MAP_FAILED);
    ck_assert_int_eq(munmap(pages + PAGE, 2 * PAGE), 0);
    ck_assert_uint_eq(find(pages + 3 * PAGE).end_below, (uintptr_t)pages + PAGE);
    munmap(pages, 4 * PAGE);
}
