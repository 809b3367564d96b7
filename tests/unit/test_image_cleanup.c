/* test_image_cleanup.c - which files are removed from a directory like /tmp, and which never. */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/plan.h"
#include "trampoline/image_cleanup.h"

enum { HOUR = 3600, DAY = 24 * HOUR };

static long evaluate(long a, long b, long c)
{
    return a + b + c;
}

/* Makes an image in a process that ends, and returns its path. Its child, if requested, keeps the
 * image mapped. */
static const char *leave_image(pid_t *child)
{
    static char path[PATH_MAX];
    int ends[2], status;
    char *own_path = NULL;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct image *image = image_create(folder, 1, plan_to(evaluate), NULL);
        if (image == NULL || image_append(image, "py::f:f.py", 10) != 0)
            _exit(1);
        pid_t living = child == NULL ? 0 : fork();
        if (living == 0 && child != NULL) {
            close(ends[1]);
            image_freeze(image);
            for (;;)
                pause();
        }
        own_path = strcpy(path, image_path(image));
        if (write(ends[1], &living, sizeof living) != sizeof living ||
            write(ends[1], own_path, strlen(own_path)) < 1)
            _exit(1);
        _exit(0);
    }
    close(ends[1]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    pid_t living;
    ck_assert_int_eq(read(ends[0], &living, sizeof living), sizeof living);
    ssize_t length = read(ends[0], path, sizeof path - 1);
    ck_assert_int_gt(length, 0);
    path[length] = '\0';
    close(ends[0]);
    if (child != NULL)
        *child = living;
    return path;
}

static void clean(int64_t later)
{
    int descriptors = count_descriptors();
    errno = EXFULL;
    image_cleanup(folder, time(NULL) + later);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_descriptors(), descriptors);
}

TEST(a_day_after_its_process)
{
    const char *path = leave_image(NULL);
    clean(0);
    clean(23 * HOUR);
    ck_assert_int_eq(access(path, F_OK), 0);
    clean(24 * HOUR + 10);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(count_entries(), 0);
    clean(DAY);
}

/* relatime: a read is recorded if there was none since the last write, or none for a day. */
TEST(one_that_was_read)
{
    char head[64];
    const char *path = leave_image(NULL);
    usleep(1100000); /* the times are compared by seconds */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(read(fd, head, sizeof head), sizeof head);
    close(fd);
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    if (status.st_atim.tv_sec <= status.st_mtim.tv_sec) /* noatime */
        ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
    times[0] = (struct timespec){.tv_sec = time(NULL) + HOUR};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0),
                     0); /* read an hour after it was written */
    clean(DAY + HOUR + 100);
    clean(2 * DAY);
    ck_assert_int_eq(access(path, F_OK), 0);
    clean(2 * DAY + HOUR + 100);
    ck_assert_int_ne(access(path, F_OK), 0);
}

TEST(never_of_a_living_process)
{
    struct image *image = make_image(1, plan_to(evaluate));
    clean(1000 * DAY);
    ck_assert_int_eq(access(image_path(image), F_OK), 0);
}

/* A child may run its trampolines. */
TEST(never_while_a_child_has_it_mapped)
{
    pid_t child;
    const char *path = leave_image(&child);
    clean(2 * DAY);
    clean(1000 * DAY);
    ck_assert_int_eq(access(path, F_OK), 0);
    kill(child, SIGKILL);
    for (int i = 0; i < 500 && access(path, F_OK) == 0; i++, usleep(10000))
        clean(2 * DAY); /* not our child, so it cannot be waited for */
    ck_assert_int_ne(access(path, F_OK), 0);
}

TEST(never_while_it_is_open)
{
    const char *path = leave_image(NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    clean(1000 * DAY);
    ck_assert_int_eq(access(path, F_OK), 0);
    close(fd);
    clean(2 * DAY);
    ck_assert_int_ne(access(path, F_OK), 0);
}

static void copy_file(const char *from, const char *to)
{
    size_t length;
    const char *bytes = read_file(from, &length);
    write_file(to, bytes, length);
}

TEST(nothing_but_images)
{
    static const char *const names[] = {
        "pyperf-1-abcdef.so.old",
        "pyperf-1-abcdef.s",
        "pyperf--abcdef.so",
        "pyperf-1-abcde.so",
        "pyperf-1-abcdefg.so",
        "xpyperf-1-abcdef.so",
        "pyperf-1x-abcdef.so",
        "pyperf-1-ab/def.so",
        "pyperf-1-ab.def.so",
        "pyperf-1-abcdef",
        "perf-1.map",
        "jit-1.dump",
        "pyperf-99999999999999999999999999-abcdef.so",
    };
    char image[PATH_MAX];
    snprintf(image, sizeof image, "%s", leave_image(NULL));
    int count = 0;
    for (size_t i = 0; i < LENGTH_OF(names); i++)
        if (strchr(names[i], '/') == NULL) {
            copy_file(image, in_folder("%s", names[i]));
            count++;
        }
    write_file(in_folder("pyperf-1-text00.so"), "not an image at all", 19);
    write_file(in_folder("pyperf-1-empty0.so"), "", 0);
    static char zeros[8192] = "\177ELF"; /* an ELF file that is no image */
    write_file(in_folder("pyperf-1-object.so"), zeros, sizeof zeros);
    ck_assert_int_eq(symlink(image, in_folder("pyperf-1-link00.so")), 0);
    ck_assert_int_eq(mkdir(in_folder("pyperf-1-folder.so"), 0700), 0);
    ck_assert_int_eq(mkfifo(in_folder("pyperf-1-pipe00.so"), 0600), 0);
    copy_file(image, in_folder("pyperf-1-second.so")); /* it has a second link, and stays */
    ck_assert_int_eq(link(in_folder("pyperf-1-second.so"), in_folder("another")), 0);
    copy_file(image, in_folder("pyperf-1-copy00.so"));
    copy_file(image, in_folder("pyperf-1-other0.so"));
    bool others = chown(in_folder("pyperf-1-other0.so"), 12345, 12345) == 0;
    alarm(20); /* for the pipe */
    clean(2 * DAY);
    alarm(0);
    ck_assert_int_ne(access(image, F_OK), 0);
    ck_assert_int_ne(access(in_folder("pyperf-1-copy00.so"), F_OK), 0);
    ck_assert_int_eq(count_entries(), count + 8 + others);
}

static void without_lease(const char *path)
{
    /* In another pid namespace it is unknown whether its process is alive, and on overlayfs whether
     * it is mapped. */
    image_cleanup(folder, time(NULL) + 9 * DAY);
    child_check(access(path, F_OK) == 0, "%s", "too early");
    image_cleanup(folder, time(NULL) + 10 * DAY + 100);
    child_check(access(path, F_OK) != 0, "%s", "it stays");
}

TEST_IN_CHILD(where_it_cannot_be_known)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, NULL) != 0)
        child_skip("mount", errno);
    child_mount_overlay();
    without_lease(leave_image(NULL));
    /* There too, the image of a live process stays. */
    struct image *image = image_create(folder, 1, plan_to(evaluate), NULL);
    child_check(image != NULL, "%s", folder);
    image_cleanup(folder, time(NULL) + 1000 * DAY);
    child_check(access(image_path(image), F_OK) == 0, "%s", "it is removed");
}

/* Any number of images is removed in the end, and at most so many by one call. */
TEST(many)
{
    enum { MANY = 3 * IMAGE_CLEANUP_FILES };
    char image[PATH_MAX], head[IMAGE_HEAD_SIZE];
    snprintf(image, sizeof image, "%s", leave_image(NULL));
    size_t length;
    memcpy(head, read_file(image, &length), sizeof head);
    for (int i = 1; i < MANY; i++)
        write_file(in_folder("pyperf-%d-abcdef.so", i), head, sizeof head);
    int rounds = 0, before = count_entries();
    ck_assert_int_eq(before, MANY);
    for (int after = 0; before > 0; before = after, rounds++) {
        clean(2 * DAY + rounds);
        after = count_entries();
        ck_assert_int_ge(before - after, before < IMAGE_CLEANUP_REMOVED ? before : 1);
        ck_assert_int_le(before - after, IMAGE_CLEANUP_REMOVED);
    }
    ck_assert_int_le(rounds, 20);
}

/* New images, which may be picked again and again, do not hide an old one for ever. */
TEST(old_ones_among_many)
{
    enum { MANY = 2 * IMAGE_CLEANUP_FILES };
    char image[PATH_MAX];
    snprintf(image, sizeof image, "%s", leave_image(NULL));
    for (int i = 1; i < MANY; i++)
        write_file(in_folder("pyperf-%d-abcdef.so", i), "of another kind", 15);
    int rounds = 0;
    for (; access(image, F_OK) == 0 && rounds < 200; rounds++)
        clean(2 * DAY + rounds);
    ck_assert_int_lt(rounds, 200);
    ck_assert_int_eq(count_entries(), MANY - 1);
}

TEST(directories_that_are_none)
{
    image_cleanup(in_folder("missing"), time(NULL));
    write_file(in_folder("file"), "x", 1);
    errno = EXFULL;
    image_cleanup(in_folder("file"), time(NULL));
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(count_entries(), 1);
}
