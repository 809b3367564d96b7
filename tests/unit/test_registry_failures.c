/* test_registry_failures.c - functions without an image, without a file, or without room: what is
 * reported, what is tried again and when, and that a child does not inherit the state. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "profile/files.h"

/* A name so long that an image must soon grow for more of them. */
static const char *long_name(uint32_t number)
{
    static char name[15001];
    memset(name, 'n', sizeof name - 1);
    snprintf(name, 16, "%010u", number);
    name[10] = '-';
    return name;
}

static uint32_t add_long(uint32_t number)
{
    return add_named(PROFILE_MAP, long_name(number), "f.py", 1);
}

static uint32_t image_of(uint32_t id)
{
    return id / IMAGE_TRAMPOLINES;
}

/* A directory that does not exist at first. */
static void start_without_directory(void)
{
    static char missing[100];
    snprintf(missing, sizeof missing, "%s/missing", folder);
    registry_start(missing, plan_to(sum));
    catch_reports();
}

static void make_directory(void)
{
    ck_assert_int_eq(mkdir(in_folder("missing"), 0700), 0);
}

TEST(goes_on_without_its_file)
{
    catch_reports();
    start_registry();
    uint32_t first = add_function(PROFILE_MAP, 1), id = first, number = 0;
    ck_assert_int_eq(remove_files("pyperf-*.so"), 1);
    while (image_of(id) == image_of(first) && number < 1000)
        id = add_long(number++);
    ck_assert_uint_ne(id, REGISTRY_NONE);
    ck_assert_int_eq(count_files("pyperf-*.so"), 1); /* another one */
    ck_assert_uint_eq(add_function(PROFILE_MAP, 1), first);
    ck_assert_str_eq(reports(), "");
    uint32_t seen = 1;
    for (id = first; (id = registry_next(PROFILE_MAP, id)) != REGISTRY_NONE; seen++)
        ck_assert_uint_eq(add_long(seen - 1), id);
    ck_assert_uint_eq(seen, number + 1);
}

/* All images of a process, each closed when its file cannot grow. */
static uint32_t fill_all(uint32_t *ids, uint32_t limit)
{
    uint32_t count = 0;
    while (count < limit && (ids[count] = add_long(count)) != REGISTRY_NONE) {
        remove_files("pyperf-*.so");
        count++;
    }
    return count;
}

TEST(says_once_when_all_is_full)
{
    enum { LIMIT = 64 * 300 };
    static uint32_t ids[LIMIT];
    if (skip_under_valgrind())
        return;
    catch_reports();
    start_registry();
    uint32_t count = fill_all(ids, LIMIT);
    ck_assert_uint_lt(count, LIMIT);
    ck_assert_uint_eq(image_of(ids[count - 1]), REGISTRY_IMAGES - 1);
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(add_long(LIMIT + i), REGISTRY_NONE);
        ck_assert_int_eq(why_not.code, FAILURE_FULL);
        let_seconds_pass(i);
    }
    for (uint32_t i = 0; i < count; i += 7)
        ck_assert_uint_eq(add_long(i), ids[i]); /* compiled again */
    ck_assert_str_eq(
        reports(),
        "libpyperf: further functions have no names: there is no room for more functions: 64 "
        "images are full\n");
    ck_assert_uint_eq(registry_at((uintptr_t)sum), REGISTRY_NONE);
    bool made;
    ck_assert(!registry_prepare(PROFILE_JITDUMP, &made, &why_not));
    ck_assert_int_eq(why_not.code, FAILURE_FULL);
}

/* FAILURE_FULL is permanent, so it must not be returned for a mode that has room. */
TEST(full_is_of_a_mode)
{
    enum { LIMIT = 64 * 300 };
    static uint32_t ids[LIMIT];
    if (skip_under_valgrind())
        return;
    catch_reports();
    start_registry();
    uint32_t in_dump = add_function(PROFILE_JITDUMP, 1);
    ck_assert_uint_lt(fill_all(ids, LIMIT), LIMIT);
    ck_assert_uint_eq(add_long(LIMIT), REGISTRY_NONE);
    ck_assert_uint_eq(add_function(PROFILE_JITDUMP, 2), in_dump + 1);
    ck_assert_uint_eq(add_long(LIMIT), REGISTRY_NONE);
    ck_assert_int_eq(why_not.code, FAILURE_FULL);
    ck_assert_uint_eq(add_function(PROFILE_JITDUMP, 3), in_dump + 2);
    ck_assert_int_eq(count_reports(), 1);
}

TEST(anonymous_images)
{
    if (skip_under_valgrind())
        return;
    start_without_directory();
    uint32_t before = REGISTRY_NONE;
    for (uint32_t i = 0; i < IMAGE_TRAMPOLINES + 100; i++) {
        uint32_t id = add_function(PROFILE_MAP, i);
        if (id == REGISTRY_NONE || registry_next(PROFILE_MAP, before) != id)
            ck_abort_msg("function %u is id %u", i, id);
        before = id;
    }
    ck_assert_uint_ne(add_function(PROFILE_JITDUMP, 1), REGISTRY_NONE);
    ck_assert_ptr_nonnull(strstr(reports(), "No such file or directory\n"));
    ck_assert_int_eq(count_reports(), 1); /* for three images */
}

TEST(returns_to_files)
{
    uint32_t ids[4];
    start_without_directory();
    ids[0] = add_function(PROFILE_MAP, 0);
    make_directory();
    ids[1] = add_function(PROFILE_MAP, 1); /* not tried for each new function */
    ck_assert_int_eq(count_files("missing/*"), 0);
    ck_assert_uint_eq(image_of(ids[1]), image_of(ids[0]));
    let_seconds_pass(3);
    ids[2] = add_function(PROFILE_MAP, 2);
    ids[3] = add_function(PROFILE_MAP, 3);
    ck_assert_int_eq(count_files("missing/pyperf-*.so"), 1);
    ck_assert_uint_ne(image_of(ids[2]), image_of(ids[0]));
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(add_function(PROFILE_MAP, i), ids[i]);
        ck_assert_uint_eq(registry_next(PROFILE_MAP, i == 0 ? REGISTRY_NONE : ids[i - 1]), ids[i]);
    }
    ck_assert_int_eq(count_reports(), 1);
}

/* A directory that is missing for long must not make the process slow. */
TEST(does_not_fill_all_images_with_attempts)
{
    start_without_directory();
    for (uint32_t i = 0; i < 300; i++) {
        ck_assert_uint_ne(add_function(PROFILE_MAP, i), REGISTRY_NONE);
        let_seconds_pass(3);
    }
    make_directory();
    let_seconds_pass(3);
    uint32_t id = add_function(PROFILE_MAP, 1000);
    ck_assert_uint_ne(id, REGISTRY_NONE);
    ck_assert_uint_eq(image_of(id), 1);
    ck_assert_int_eq(count_reports(), 1);
}

/* An image that cannot be opened to grow is used again when it can be. */
TEST_IN_CHILD(descriptors_used_up)
{
    catch_reports();
    start_registry();
    uint32_t first = add_function(PROFILE_MAP, 0), id, number = 0;
    use_up_descriptors();
    while ((id = add_long(number)) != REGISTRY_NONE && number < 1000)
        number++;
    enum failure_code code = why_not.code;
    uint32_t again = add_long(number);
    give_descriptors_back();
    child_check(id == REGISTRY_NONE && again == REGISTRY_NONE, "%u functions", number);
    child_check(code != FAILURE_FULL && code != FAILURE_NONE, "%s", failure_message(code));
    child_check(add_long(number) == REGISTRY_NONE, "%s", "tried for each new function");
    child_check(add_function(PROFILE_MAP, 0) == first, "%s", "what was there is not found");
    let_seconds_pass(3);
    id = add_long(number);
    child_check(id == first + number + 1, "%u after %u and %u", id, first, number);
    child_check(count_files("pyperf-*.so") == 1, "%d", count_files("pyperf-*.so"));
    child_check(count_reports() == 1, "%s", reports());
    use_up_descriptors();
    while ((id = add_long(++number)) != REGISTRY_NONE && number < 1000)
        ;
    give_descriptors_back();
    child_check(id == REGISTRY_NONE && count_reports() == 2, "%s", reports()); /* another outage */
}

/* With limited address space, no image is made that would leave the program too little. */
TEST_IN_CHILD(leaves_address_space)
{
    bool made;
    child_skip_under_valgrind();
    catch_reports();
    start_registry();
    limit_address_space(64 << 20);
    for (int mode = PROFILE_MAP; mode <= PROFILE_JITDUMP; mode++) {
        child_check(!registry_prepare(mode, &made, &why_not), "%s", "it is used");
        child_check(why_not.code == FAILURE_MEMORY, "%s", failure_message(why_not.code));
        child_check(strstr(why_not.what, "address space") != NULL, "%s", why_not.what);
    }
    child_check(count_files("pyperf-*") == 0, "%s", "a file is left");
    limit_address_space(0);
    child_check(registry_prepare(PROFILE_JITDUMP, &made, &why_not) && made, "%s", why_not.what);
    child_check(add_function(PROFILE_MAP, 1) != REGISTRY_NONE, "%s", why_not.what);
    child_check(*reports() == '\0', "%s", reports());
}

/* A new function without an image gets one a second later. */
TEST_IN_CHILD(is_tried_again)
{
    child_skip_under_valgrind();
    catch_reports();
    start_registry();
    limit_address_space(64 << 20);
    for (uint32_t i = 0; i < 3; i++)
        child_check(add_function(PROFILE_MAP, i) == REGISTRY_NONE, "%s", "it has space");
    child_check(why_not.code == FAILURE_MEMORY, "%s", failure_message(why_not.code));
    limit_address_space(0);
    let_seconds_pass(3);
    child_check(add_function(PROFILE_MAP, 1) != REGISTRY_NONE, "%s", why_not.what);
    child_check(count_reports() == 1, "%s", reports());
    child_check(strstr(reports(), "the functions of this process have no names") != NULL, "%s",
                reports());
}

static void tries_at_once(void)
{
    registry_forked();
    child_check(add_function(PROFILE_MAP, 1) != REGISTRY_NONE, "%s", why_not.what);
    child_check(count_files("missing/*") == 1, "%s", "no file");
}

TEST(child_does_not_inherit_it)
{
    start_without_directory();
    ck_assert_uint_ne(add_function(PROFILE_MAP, 0), REGISTRY_NONE);
    make_directory();
    assert_in_child(tries_at_once);
    ck_assert_int_eq(remove_files("missing/*"), 1);
}

TEST_IN_CHILD(child_of_a_full_one)
{
    child_skip_under_valgrind();
    start_without_directory();
    make_directory();
    limit_address_space(64 << 20);
    child_check(add_function(PROFILE_MAP, 0) == REGISTRY_NONE, "%s", "it has space");
    limit_address_space(0);
    child_check(add_function(PROFILE_MAP, 0) == REGISTRY_NONE, "%s", "tried at once");
    tries_at_once();
}
