#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char folder[] = "/tmp/libpyperf-unit-XXXXXX";
static char *child_message; /* shared with children */
enum { MESSAGE_SIZE = 4096, MAPS_SIZE = 4 << 20 };

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type;
    return walk->level == 0 ? 0 : remove(path);
}

void clear_folder(void)
{
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_folder(void)
{
    if (mkdtemp(folder) == NULL) {
        perror(folder);
        exit(EXIT_FAILURE);
    }
}

static void remove_folder(void)
{
    clear_folder();
    rmdir(folder);
}

void unmap_images(void)
{
    if (!under_valgrind())
        return;
    FILE *maps = fopen("/proc/self/maps", "re"); /* no assertions: Check may be done */
    char line[512];
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start, end;
        if (strstr(line, folder) != NULL && sscanf(line, "%lx-%lx", &start, &end) == 2)
            munmap((void *)start, end - start);
    }
    if (maps != NULL)
        fclose(maps);
}

static struct registered {
    const TTest *test;
    int count;
} registered[64];
static size_t registered_count;

void register_test(const TTest *test, size_t count)
{
    if (registered_count == LENGTH_OF(registered))
        abort();
    registered[registered_count++] = (struct registered){test, (int)count};
}

static int compare_lines(const void *left, const void *right)
{
    return ((const struct registered *)left)->test->line -
           ((const struct registered *)right)->test->line;
}

int run_tests(void (*set_up)(void), void (*tear_down)(void), int seconds)
{
    atexit(unmap_images);
    child_message =
        mmap(NULL, MESSAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Suite *suite = suite_create(program_invocation_short_name);
    TCase *group = tcase_create(program_invocation_short_name);
    tcase_add_unchecked_fixture(group, make_folder, remove_folder);
    tcase_add_checked_fixture(group, clear_folder, NULL);
    tcase_add_checked_fixture(group, set_up, tear_down);
    tcase_set_timeout(group, seconds);
    qsort(registered, registered_count, sizeof *registered, compare_lines);
    for (size_t i = 0; i < registered_count; i++)
        tcase_add_loop_test(group, registered[i].test, 0, registered[i].count);
    suite_add_tcase(suite, group);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

__attribute__((weak)) int main(void)
{
    return run_tests(NULL, NULL, TEST_SECONDS);
}

const char *in_folder(const char *format, ...)
{
    static char paths[8][256];
    static unsigned next;
    char *path = paths[next++ % 8];
    int length = snprintf(path, sizeof paths[0], "%s/", folder);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path + length, sizeof paths[0] - (size_t)length, format, arguments);
    va_end(arguments);
    return path;
}

static int count_in(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) /* no assertion: they write to a file, which may be forbidden */
        ck_abort_msg("%s: %s", path, strerror(errno));
    int count = -2; /* . and .. */
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

int count_entries(void)
{
    return count_in(folder);
}

int count_descriptors(void)
{
    return count_in("/proc/self/fd");
}

const char *read_file(const char *path, size_t *length)
{
    static char *bytes;
    struct stat status;
    free(bytes);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0 && fstat(fd, &status) == 0, "%s: %s", path, strerror(errno));
    bytes = malloc((size_t)status.st_size + 1);
    ck_assert_int_eq(read(fd, bytes, (size_t)status.st_size), status.st_size);
    bytes[status.st_size] = '\0';
    close(fd);
    if (length != NULL)
        *length = (size_t)status.st_size;
    return bytes;
}

void write_file(const char *path, const char *bytes, size_t length)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(write(fd, bytes, length), (ssize_t)length);
    close(fd);
}

static pid_t maps_owner; /* of the descriptors of open_maps */

int open_maps(void)
{
    maps_owner = getpid();
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ck_assert_msg(fd >= 0, "/proc/self/maps: %s", strerror(errno));
    return fd;
}

const char *read_maps(int fd)
{
    static char texts[2][MAPS_SIZE];
    static unsigned next;
    char *text = texts[next++ % 2];
    size_t used = 0;
    /* In qemu-user an open file keeps what it had when it was opened. */
    int saved = errno, now = -1;
    if (getpid() == maps_owner)
        now = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    int from = now < 0 ? fd : now;
    ck_assert_int_eq(lseek(from, 0, SEEK_SET), 0);
    for (ssize_t n; (n = read(from, text + used, MAPS_SIZE - 1 - used)) > 0;)
        used += (size_t)n;
    text[used] = '\0';
    if (now >= 0)
        close(now);
    errno = saved;
    return text;
}

const char *whole_line(const char *text, const char *part)
{
    const char *line = strstr(text, part);
    while (line != NULL && line > text && line[-1] != '\n')
        line--;
    return line;
}

void assert_never_writable_and_executable(void)
{
    int fd = open_maps(), lines = 0;
    const char *line = read_maps(fd);
    close(fd);
    if (under_valgrind()) /* valgrind's own pages are */
        return;
    for (; *line != '\0'; line = strchr(line, '\n') + 1, lines++) {
        const char *protection = strchr(line, ' ') + 1;
        ck_assert_msg(protection[1] != 'w' || protection[2] != 'x', "writable and executable: %.*s",
                      (int)strcspn(line, "\n"), line);
    }
    ck_assert_int_gt(lines, 5);
}

void limit_file_size(size_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_DFL);
}

void *kept[4096]; /* not static: an unread variable is optimised away */

void *keep(void *memory)
{
    static size_t count;
    ck_assert_uint_lt(count, LENGTH_OF(kept));
    return kept[count++] = memory;
}

void skip(const char *what, const char *reason)
{
    printf("SKIP %s: %s: %s\n", tcase_name(), what, reason);
    fflush(stdout);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1 /* as gcc has it */
#endif
#endif

bool under_address_sanitizer(void)
{
#ifdef __SANITIZE_ADDRESS__
    return true;
#else
    return false;
#endif
}

bool under_valgrind(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload != NULL && strstr(preload, "vgpreload") != NULL;
}

bool skip_under_valgrind(void)
{
    if (under_valgrind())
        skip("under valgrind", "takes minutes");
    return under_valgrind();
}

void child_failed(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(child_message, MESSAGE_SIZE, format, arguments);
    va_end(arguments);
    _exit(1);
}

void child_skip(const char *what, int error)
{
    snprintf(child_message, MESSAGE_SIZE, "%s: %s", what, strerror(error));
    _exit(77); /* as for automake */
}

void child_skip_under_valgrind(void)
{
    if (under_valgrind())
        child_skip("valgrind", ENOTSUP);
}

/* qemu-user keeps the limit for itself. */
void child_skip_without_limit(void)
{
    const size_t size = (size_t)1 << 40;
    void *memory = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return;
    munmap(memory, size);
    child_skip("RLIMIT_AS", ENOTSUP);
}

/* qemu-user has a thread of its own in each process, which /proc lists. */
void child_skip_with_threads(void)
{
    struct stat status;
    if (stat("/proc/self/task", &status) == 0 && status.st_nlink != 3)
        child_skip("a thread of an emulator", ENOTSUP);
}

void assert_in_child(void (*body)(void))
{
    child_message[0] = '\0';
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        body();
        unmap_images();
        _exit(0);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status), "the child was killed by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == 77)
        skip("in a child", child_message);
    else
        ck_assert_msg(WEXITSTATUS(status) == 0, "child: %s", child_message);
}
