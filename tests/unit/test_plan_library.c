/* test_plan_library.c - the addresses of the unloaded library stay reserved. */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preload/process/plan_library.h"
#include "support/support.h"
#include "trampoline/near_memory.h"

enum { PAGE = 4096 };

/* These stand for libpyperf-plan.so and a library that it needs. */
#define PLAN_LIBRARY FIXTURES "/plan_library.so"
#define BROUGHT      FIXTURES "/brought.so"

struct place {
    uintptr_t start, end;
};

static void *load(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    ck_assert_msg(handle != NULL, "%s", dlerror());
    return handle;
}

/* The range in which a file is mapped; {0, 0} if it is not. */
static struct place place_of(const char *path)
{
    struct place place = {0};
    int fd = open_maps();
    for (const char *line = read_maps(fd); *line != '\0'; line = strchr(line, '\n') + 1) {
        const char *name = memchr(line, '/', strcspn(line, "\n"));
        if (name == NULL || strncmp(name, path, strlen(path)) != 0)
            continue;
        char *dash;
        uintptr_t start = strtoull(line, &dash, 16);
        if (place.start == 0)
            place.start = start;
        place.end = strtoull(dash + 1, NULL, 16);
    }
    close(fd);
    return place;
}

static void assert_kept(struct place place)
{
    ck_assert_uint_lt(place.start, place.end);
    for (uintptr_t page = place.start; page < place.end; page += PAGE)
        ck_assert_msg(!near_memory_reserve_at(page, PAGE), "0x%" PRIxPTR " was free", page);
}

TEST(addresses_are_kept)
{
    void *library = load(PLAN_LIBRARY);
    const struct place places[] = {place_of(PLAN_LIBRARY), place_of(BROUGHT)};
    plan_library_unload(library);
    ck_assert_uint_eq(place_of(PLAN_LIBRARY).start, 0);
    ck_assert_uint_eq(place_of(BROUGHT).start, 0);
    for (size_t i = 0; i < LENGTH_OF(places); i++)
        assert_kept(places[i]);
}

/* As by `ulimit -v`: reserved addresses would reduce the program's share. */
TEST(limited_addresses_are_given_back)
{
    struct rlimit limit = {(rlim_t)1 << 46, (rlim_t)1 << 46};
    void *library = load(PLAN_LIBRARY);
    const struct place place = place_of(PLAN_LIBRARY);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
    if (limit.rlim_cur == RLIM_INFINITY) {
        skip("RLIMIT_AS", "an emulator does not set it");
        return;
    }
    plan_library_unload(library);
    ck_assert(near_memory_reserve_at(place.start, place.end - place.start));
}

/* Loaded by the program too, before or in between. */
TEST(what_is_used_elsewhere_stays)
{
    void *programs = load(BROUGHT);
    const struct place place = place_of(BROUGHT);
    plan_library_unload(load(PLAN_LIBRARY));
    ck_assert_uint_eq(place_of(BROUGHT).start, place.start);
    int (*function)(void) = (int (*)(void))dlsym(programs, "other");
    ck_assert_int_eq(function(), 4);

    void *library = load(PLAN_LIBRARY);
    const struct place libraries = place_of(PLAN_LIBRARY);
    load(PLAN_LIBRARY);
    plan_library_unload(library);
    ck_assert_uint_eq(place_of(PLAN_LIBRARY).start, libraries.start);
    ck_assert_int_eq(function(), 4);
}

/* In a copy of this program in a folder of its own, as a user who may no longer enter it. */
static int load_from_closed(char *program)
{
    struct failure why = {.code = FAILURE_NONE, .what = "loaded"};
    *strrchr(program, '/') = '\0';
    if (chmod(program, 0) != 0 || (getuid() == 0 && setuid(65534) != 0))
        return 1;
    plan_library_load(&why);
    printf("%d %d %s", why.code, why.sys_errno, why.what);
    return 0;
}

/* In a copy of this program, because the library is looked for beside the mapped file. Prints the
 * result. */
static int load_beside(void)
{
    struct failure why = {.code = FAILURE_NONE, .what = "loaded"};
    plan_library_load(&why);
    printf("%d %s", why.code, why.what);
    return 0;
}

static const char *result_of(const char *program, const char *how)
{
    static char line[512];
    char command[PATH_MAX + 32];
    snprintf(command, sizeof command, "'%s' %s", program, how);
    FILE *output = popen(command, "r");
    size_t length = fread(line, 1, sizeof line - 1, output);
    line[length] = '\0';
    ck_assert_int_eq(pclose(output), 0);
    return line;
}

static void copy(const char *from, const char *to)
{
    char command[2 * PATH_MAX + 32];
    snprintf(command, sizeof command, "cp '%s' '%s'", from, to);
    ck_assert_int_eq(system(command), 0);
}

TEST(is_not_there)
{
    char expected[16], program[PATH_MAX];
    ck_assert_ptr_nonnull(realpath("/proc/self/exe", program));
    copy(program, in_folder("program"));
    snprintf(expected, sizeof expected, "%d ", FAILURE_PLAN_LIBRARY);
    const char *line = result_of(in_folder("program"), "beside");
    ck_assert_msg(strncmp(line, expected, strlen(expected)) == 0, "%s", line);
    ck_assert_msg(strstr(line, "libpyperf-plan.so") != NULL, "%s", line);
}

/* The loader would expand words that begin with a dollar sign. A library without a version is found
 * there, and refused. */
TEST(is_below_a_folder_with_a_dollar_sign)
{
    char expected[16], program[PATH_MAX];
    ck_assert_ptr_nonnull(realpath("/proc/self/exe", program));
    ck_assert_int_eq(mkdir(in_folder("two words: $LIB"), 0700), 0);
    copy(program, in_folder("two words: $LIB/program"));
    copy(PLAN_LIBRARY, in_folder("two words: $LIB/libpyperf-plan.so"));
    snprintf(expected, sizeof expected, "%d ", FAILURE_PLAN_VERSION);
    const char *line = result_of(in_folder("two words: $LIB/program"), "beside");
    ck_assert_msg(strncmp(line, expected, strlen(expected)) == 0, "%s", line);
}

/* It is there, so the message must not say that it was replaced. */
TEST(is_in_a_folder_that_is_closed)
{
    char expected[24], program[PATH_MAX];
    ck_assert_ptr_nonnull(realpath("/proc/self/exe", program));
    ck_assert_int_eq(mkdir(in_folder("closed"), 0755), 0);
    copy(program, in_folder("closed/program"));
    snprintf(expected, sizeof expected, "%d %d ", FAILURE_PLAN_LIBRARY, EACCES);
    const char *line = result_of(in_folder("closed/program"), "closed");
    ck_assert_int_eq(chmod(in_folder("closed"), 0755), 0);
    ck_assert_msg(strncmp(line, expected, strlen(expected)) == 0, "%s", line);
    ck_assert_msg(strstr(line, "replaced") == NULL, "%s", line);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "closed") == 0)
        return load_from_closed(argv[0]);
    if (argc > 1 && strcmp(argv[1], "beside") == 0)
        return load_beside();
    return run_tests(NULL, NULL, TEST_SECONDS);
}
