/* test_copy_on_write.c - images and maps on a file system that copies on write: a write fails, and
 * there is no SIGBUS. On btrfs if it can be mounted; always on a file system that claims to be
 * one. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "jitdump/perf_map.h"
#include "support/plan.h"

enum { PID = 4711, BTRFS = 0x9123683E, OVERLAYFS = 0x794C7630 };

/* Replaces the C library's, and reports the file system of the test's choice. */
static unsigned pretended_type;
static int pretended_files = -1;

int fstatfs(int fd, struct statfs *status)
{
    long result = syscall(SYS_fstatfs, fd, status);
    if (pretended_type != 0)
        status->f_type = (long)pretended_type;
    if (pretended_files >= 0)
        status->f_files = (fsfilcnt_t)pretended_files;
    return (int)result;
}

static long evaluate(long a, long b, long c)
{
    return 100 * a + 10 * b + c;
}

static struct perf_map map;
static struct image *image;
static int reader;

static int append_line(uint32_t n)
{
    const char *name = name_of(n);
    return perf_map_append(&map, n, 16, name, strlen(name));
}

static void child_check_lines(uint32_t count)
{
    FILE *file = fopen(map.path, "re");
    char line[300], wanted[300];
    for (uint32_t i = 0; i < count; i++) {
        snprintf(wanted, sizeof wanted, "%x 10 %s\n", i, name_of(i));
        child_check(fgets(line, sizeof line, file) != NULL && strcmp(line, wanted) == 0, "%u: %s",
                    i, line);
    }
    child_check(fgetc(file) == EOF, "more than %u lines", count);
    fclose(file);
}

static void child_check_image(uint32_t count)
{
    child_check(image_used(image) == count && count_symbols(reader) == count, "%u, %u, %u", count,
                image_used(image), count_symbols(reader));
    for (uint32_t i = 0; i < count; i++) {
        child_check(strcmp(symbol_name(reader, i), name_of(i)) == 0, "%u", i);
        child_check(trampoline_function(image, i)(1, 2, 3) == 123, "%u", i);
    }
}

static bool is_mapped(const char *what)
{
    int fd = open_maps();
    bool is = strstr(read_maps(fd), what) != NULL;
    close(fd);
    return is;
}

static void child_open_both(void)
{
    struct failure why = {.code = FAILURE_NONE};
    image = image_create(folder, 1, plan_to(evaluate), &why);
    child_check(image != NULL, "%s: %s", why.what, strerror(why.sys_errno));
    reader = open(image_path(image), O_RDONLY | O_CLOEXEC);
    child_check(perf_map_open(&map, folder, PID) == 0, "%s", map.path);
}

static void child_fill_both(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        int error = add(image, name_of(i));
        child_check(error == 0, "function %u: %s", i, strerror(error));
        error = append_line(i);
        child_check(error == 0, "line %u: %s", i, strerror(error));
    }
}

static void write_each(void)
{
    int descriptors = count_descriptors();
    child_open_both();
    child_fill_both(0, 3000);
    child_check(!is_mapped("tables") && !is_mapped("perf-4711.map"), "%s", "it is mapped");
    child_check_image(3000);
    child_check_lines(3000);
    perf_map_finish(&map);
    child_check_lines(3000);
    close(reader);
    child_check(count_descriptors() == descriptors, "%d", count_descriptors());
}

/* With a line whose newline is missing, and newlines of an earlier program. */
static void go_on_with_what_is_there(void)
{
    static const char *const left[] = {"0 0 x", "0 0 x\n", "0 0 x\n\n\n\n", ""};
    for (size_t i = 0; i < LENGTH_OF(left); i++) {
        clear_folder();
        write_file(in_folder("perf-%d.map", PID), left[i], strlen(left[i]));
        child_check(perf_map_open(&map, folder, PID) == 0, "%s", map.path);
        child_check(perf_map_append(&map, 1, 1, "y", 1) == 0, "%zu", i);
        child_check(perf_map_append(&map, 2, 2, "z", 1) == 0, "%zu", i);
        perf_map_finish(&map);
        const char *text = read_file(map.path, NULL);
        child_check(strcmp(text, i == 3 ? "1 1 y\n2 2 z\n" : "0 0 x\n1 1 y\n2 2 z\n") == 0,
                    "%zu: %s", i, text);
    }
}

/* tmpfs with room for a new image and little more. */
static void full_disk(void)
{
    uint32_t count = 0;
    int error = 0;
    child_mount_small_disk(64 << 10, 0);
    child_open_both();
    for (; error == 0; count++)
        error = add(image, name_of(count));
    child_check(error == ENOSPC, "%s", strerror(error));
    child_check_image(--count);
    int wrong = append_line(0);
    child_check(wrong == ENOSPC, "%s", strerror(wrong));
    child_check(mount(NULL, folder, NULL, MS_REMOUNT, "size=1M") == 0, "%s", strerror(errno));
    for (uint32_t i = 0; i < count; i++)
        child_check(append_line(i) == 0, "%u", i);
    child_fill_both(count, count + 500);
    child_check_image(count + 500);
    child_check_lines(count + 500);
}

static void limited_size(void)
{
    int error = 0;
    uint32_t count = 0;
    child_check(perf_map_open(&map, folder, PID) == 0, "%s", map.path);
    limit_file_size(1000);
    for (; error == 0; count++)
        error = append_line(count);
    child_check(error == EFBIG, "%s", strerror(error));
    child_check_lines(count - 1); /* and no part of the one that did not fit */
}

TEST(pretended)
{
    static void (*const bodies[])(void) = {write_each, go_on_with_what_is_there, full_disk,
                                           limited_size};
    pretended_type = BTRFS;
    for (size_t i = 0; i < LENGTH_OF(bodies); i++) {
        clear_folder();
        assert_in_child(bodies[i]);
    }
    pretended_type = OVERLAYFS; /* on btrfs, which has no number of files */
    pretended_files = 0;
    clear_folder();
    assert_in_child(write_each);
}

static void map_them(void)
{
    child_open_both();
    child_fill_both(0, 3000);
    child_check(is_mapped("tables") && is_mapped("perf-4711.map"), "%s", "it is not mapped");
}

TEST(overlay_of_another_kind_is_mapped)
{
    pretended_type = OVERLAYFS;
    pretended_files = 1000;
    assert_in_child(map_them);
}

/* Mounts a btrfs at the folder; its medium is a file on a tmpfs. */
static void child_mount_btrfs(void)
{
    char command[600];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, NULL) != 0)
        child_skip("mount", errno);
    snprintf(command, sizeof command,
             "exec >/dev/null 2>&1; PATH=$PATH:/sbin:/usr/sbin; truncate -s 24M %s/medium &&"
             " mkfs.btrfs -q -M %s/medium && mount -o loop %s/medium %s",
             folder, folder, folder, folder);
    if (system(command) != 0)
        child_skip("btrfs: mkfs.btrfs or mount -o loop", ENOTSUP);
}

static void fill_disk(void)
{
    static char block[4096];
    int fd = open(in_folder("filler"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    memset(block, 'x', sizeof block);
    for (size_t size = sizeof block; size > 0; size /= 2)
        while (write(fd, block, size) > 0)
            continue;
    fsync(fd);
    close(fd);
}

TEST_IN_CHILD(on_full_btrfs)
{
    child_mount_btrfs();
    child_open_both();
    child_fill_both(0, 20);
    sync(); /* from now on a store has to copy the block */
    fill_disk();
    uint32_t lines = 20;
    int error = 0, full = 0;
    for (uint32_t i = 20; i < 3000; i++) {
        error = add(image, name_of(image_used(image)));
        child_check(error == 0 || error == ENOSPC, "%s", strerror(error));
        full += error != 0;
        error = append_line(lines);
        child_check(error == 0 || error == ENOSPC, "%s", strerror(error));
        full += error != 0;
        lines += error == 0;
        if (i % 100 == 0)
            sync();
    }
    child_check(full > 0, "%s", "the disk is not full");
    child_check_image(image_used(image));
    child_check_lines(lines);
    unlink(in_folder("filler"));
    sync();
    uint32_t count = image_used(image) > lines ? image_used(image) : lines;
    while (image_used(image) < count)
        child_check(add(image, name_of(image_used(image))) == 0, "%s", "no room");
    while (lines < count)
        child_check(append_line(lines++) == 0, "%s", "no room");
    child_fill_both(count, count + 1000);
    child_check_image(count + 1000);
    child_check_lines(count + 1000);
}

TEST_IN_CHILD(overlay_on_btrfs)
{
    child_mount_btrfs();
    child_mount_overlay();
    write_each();
}
