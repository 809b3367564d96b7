/* test_companion.c - what is unloaded leaves addresses that nobody else gets. */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../preload/companion.h"
#include "../../trampoline/near_memory.h"
#include "support/support.h"

enum { PAGE = 4096 };

/* In the place of libpyperf-plan.so and of what it needs. */
#define COMPANION FIXTURES "/companion.so"
#define BROUGHT   FIXTURES "/brought.so"

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
    void *companion = load(COMPANION);
    const struct place places[] = {place_of(COMPANION), place_of(BROUGHT)};
    companion_unload(companion);
    ck_assert_uint_eq(place_of(COMPANION).start, 0);
    ck_assert_uint_eq(place_of(BROUGHT).start, 0);
    for (size_t i = 0; i < LENGTH_OF(places); i++)
        assert_kept(places[i]);
}
END_TEST

/* As `ulimit -v` does it: each address that is kept would be missing to the program. */
START_TEST(limited_addresses_are_given_back)
{
    struct rlimit limit = {(rlim_t)1 << 46, (rlim_t)1 << 46};
    void *companion = load(COMPANION);
    const struct place place = place_of(COMPANION);
    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    companion_unload(companion);
    ck_assert(near_memory_reserve_at(place.start, place.end - place.start));
}
END_TEST

/* By the program, before or meanwhile. */
START_TEST(what_is_used_elsewhere_stays)
{
    void *programs = load(BROUGHT);
    const struct place place = place_of(BROUGHT);
    companion_unload(load(COMPANION));
    ck_assert_uint_eq(place_of(BROUGHT).start, place.start);
    int (*function)(void) = (int (*)(void))dlsym(programs, "other");
    ck_assert_int_eq(function(), 4);

    void *companion = load(COMPANION);
    const struct place companions = place_of(COMPANION);
    load(COMPANION);
    companion_unload(companion);
    ck_assert_uint_eq(place_of(COMPANION).start, companions.start);
    ck_assert_int_eq(function(), 4);
}
END_TEST

START_TEST(is_not_there)
{
    struct failure why = {.code = FAILURE_NONE};
    ck_assert_ptr_null(companion_load(&why));
    ck_assert_int_eq(why.code, FAILURE_COMPANION);
    ck_assert_msg(strstr(why.what, "libpyperf-plan.so") != NULL, "%s", why.what);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {addresses_are_kept, limited_addresses_are_given_back,
                                  what_is_used_elsewhere_stays, is_not_there};
    return run_suite("companion", tests, LENGTH_OF(tests));
}
