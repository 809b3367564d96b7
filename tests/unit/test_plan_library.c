/* test_plan_library.c - what is unloaded leaves addresses that nobody else gets. */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "preload/process/plan_library.h"
#include "support/support.h"
#include "trampoline/near_memory.h"

enum { PAGE = 4096 };

/* In the place of libpyperf-plan.so and of what it needs. */
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

/* Where a file is mapped; nothing of it: {0, 0}. */
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

START_TEST(addresses_are_kept)
{
    void *library = load(PLAN_LIBRARY);
    const struct place places[] = {place_of(PLAN_LIBRARY), place_of(BROUGHT)};
    plan_library_unload(library);
    ck_assert_uint_eq(place_of(PLAN_LIBRARY).start, 0);
    ck_assert_uint_eq(place_of(BROUGHT).start, 0);
    for (size_t i = 0; i < LENGTH_OF(places); i++)
        assert_kept(places[i]);
}
END_TEST

/* As `ulimit -v` does it: each address that is kept would be missing to the program. */
START_TEST(limited_addresses_are_given_back)
{
    struct rlimit limit = {(rlim_t)1 << 46, (rlim_t)1 << 46};
    void *library = load(PLAN_LIBRARY);
    const struct place place = place_of(PLAN_LIBRARY);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    plan_library_unload(library);
    ck_assert(near_memory_reserve_at(place.start, place.end - place.start));
}
END_TEST

/* By the program, before or meanwhile. */
START_TEST(what_is_used_elsewhere_stays)
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
END_TEST

START_TEST(is_not_there)
{
    struct failure why = {.code = FAILURE_NONE};
    ck_assert_ptr_null(plan_library_load(&why));
    ck_assert_int_eq(why.code, FAILURE_PLAN_LIBRARY);
    ck_assert_msg(strstr(why.what, "libpyperf-plan.so") != NULL, "%s", why.what);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {addresses_are_kept, limited_addresses_are_given_back,
                                  what_is_used_elsewhere_stays, is_not_there};
    return run_suite("plan_library", tests, LENGTH_OF(tests));
}
