/* test_image_hostile.c - an image whose file cannot be made, is taken away or exchanged, or cannot
 * grow: a clean failure, nothing left behind, and nobody else's file touched. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/plan.h"

static const char precious[] = "somebody's data\n";

static long evaluate(long a, long b, long c)
{
    return 100 * a + 10 * b + c;
}

static void child_check_refused(const char *directory, enum failure_code code, int error)
{
    const struct detour_plan *plan = plan_to(evaluate);
    struct failure why = {.code = FAILURE_NONE};
    errno = EXFULL;
    struct image *image = image_create(directory, 1, plan, &why);
    child_check(image == NULL, "%s", directory);
    child_check(errno == EXFULL, "%s", strerror(errno));
    child_check(why.code == code, "%s: %s", failure_message(why.code), why.what);
    child_check(why.sys_errno == error, "%s, expected %s", strerror(why.sys_errno),
                strerror(error));
    child_check(image_create(directory, 1, plan, NULL) == NULL, "%s", directory);
}

static void odd_directories(void)
{
    static char endless[8192], nearly[4096];
    write_file(in_folder("file"), precious, strlen(precious));
    child_check_refused(in_folder("file"), FAILURE_IMAGE_FILE, ENOTDIR);
    child_check_refused(in_folder("missing"), FAILURE_IMAGE_FILE, ENOENT);
    memset(endless, '/', sizeof endless - 1);
    child_check_refused(endless, FAILURE_IMAGE_FILE, ENAMETOOLONG);
    memset(nearly, 'n', sizeof nearly - 10);
    nearly[0] = '/';
    child_check_refused(nearly, FAILURE_IMAGE_FILE, ENAMETOOLONG);
    child_check(count_entries() == 1, "%d", count_entries());
}

static void limited_size(void)
{
    static const size_t limits[] = {0, 1, 4095, 4096, 65536, 1 << 20, (1 << 20) + 12288, 2 << 20};
    for (size_t i = 0; i < LENGTH_OF(limits); i++) {
        limit_file_size(limits[i]);
        child_check_refused(folder, FAILURE_IMAGE_FILE, EFBIG);
        child_check(count_entries() == 0, "%zu: %d entries", limits[i], count_entries());
    }
}

static void no_descriptors(void)
{
    struct rlimit all, none;
    child_skip_under_valgrind();
    getrlimit(RLIMIT_NOFILE, &all);
    none = (struct rlimit){0, all.rlim_max};
    const struct detour_plan *plan = plan_to(evaluate);
    struct failure why = {.code = FAILURE_NONE};
    setrlimit(RLIMIT_NOFILE, &none);
    child_check(image_create(folder, 1, plan, &why) == NULL, "%s", folder);
    setrlimit(RLIMIT_NOFILE, &all);
    child_check(why.sys_errno == EMFILE, "%s", strerror(why.sys_errno));
    child_check(count_entries() == 0, "%d entries", count_entries());
}

static void no_address_space(void)
{
    struct rlimit limit;
    const struct detour_plan *plan = plan_to(evaluate);
    struct failure why = {.code = FAILURE_NONE};
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 1 << 20; /* less than is in use */
    child_skip_under_valgrind();
    setrlimit(RLIMIT_AS, &limit);
    child_check(image_create(folder, 1, plan, &why) == NULL, "%s", folder);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_AS, &limit);
    child_check(why.code == FAILURE_IMAGE_FILE && why.sys_errno == ENOMEM, "%s: %s",
                failure_message(why.code), strerror(why.sys_errno));
    child_check(count_entries() == 0, "%d entries", count_entries());
}

static void small_disk(void)
{
    child_mount_small_disk(128 << 10, 0);
    child_check_refused(folder, FAILURE_IMAGE_FILE, ENOSPC);
    child_check(count_entries() == 0, "%d entries", count_entries());
}

static void read_only_disk(void)
{
    child_mount_small_disk(1 << 20, MS_RDONLY);
    child_check_refused(folder, FAILURE_IMAGE_FILE, EROFS);
}

static void disk_without_execution(void)
{
    child_mount_small_disk(1 << 20, MS_NOEXEC);
    child_check_refused(folder, FAILURE_IMAGE_LOAD, 0);
    child_check(count_entries() == 0, "%d entries", count_entries());
}

START_TEST(not_made)
{
    static void (*const bodies[])(void) = {
        odd_directories, limited_size,   no_descriptors,         no_address_space,
        small_disk,      read_only_disk, disk_without_execution,
    };
    for (size_t i = 0; i < LENGTH_OF(bodies); i++) {
        clear_folder();
        assert_in_child(bodies[i]);
    }
}
END_TEST

/* What makes each of the three regions grow first: trampolines are short of text, functions short of
 * symbols, long names short of names. */
static const struct growth {
    const char *region;
    uint32_t spacing, before; /* functions that fit without growing */
    size_t length;            /* of their names */
} growths[] = {
    {"text", 16, 256, 8},
    {"symbols", 1, 2728, 8},
    {"names", 1, 65, 999},
};

static const char *grown_name(const struct growth *growth, uint32_t number)
{
    static char name[1000];
    snprintf(name, sizeof name, "%0*u", (int)growth->length, number);
    return name;
}

static struct image *image;

static void child_fill(const struct growth *growth, const struct detour_plan *plan)
{
    image = image_create(folder, growth->spacing, plan, NULL);
    child_check(image != NULL, "%s", growth->region);
    for (uint32_t i = 0; i < growth->before; i++) {
        int32_t number = image_add(image, grown_name(growth, i), growth->length, 1);
        child_check(number == (int32_t)i, "%s: %d, expected %u", growth->region, number, i);
    }
}

/* It does not grow, stays so, and what it has is still good. */
static void child_check_full(const struct growth *growth)
{
    for (int again = 0; again < 3; again++) {
        errno = EXFULL;
        int32_t number = image_add(image, grown_name(growth, 0), growth->length, 1);
        child_check(number == -1, "%s: grows to %d", growth->region, number);
        child_check(errno == EXFULL, "%s", strerror(errno));
    }
    for (uint32_t i = 0; i < growth->before; i++) {
        const char *name = image_name(image, i);
        child_check(strcmp(name, grown_name(growth, i)) == 0, "%s: %s", growth->region, name);
        long got = trampoline_function(image, i)(1, 2, 3);
        child_check(got == 123, "%s: trampoline %u returns %ld", growth->region, i, got);
    }
}

/* Ways to lose the file; each leaves what must not be touched in "precious". */
static void remove_it(void)
{
    unlink(image_path(image));
}
static void exchange_it(void)
{
    write_file(in_folder("precious"), precious, strlen(precious));
    unlink(image_path(image));
    link(in_folder("precious"), image_path(image));
}
static void put_a_link_there(void)
{
    write_file(in_folder("precious"), precious, strlen(precious));
    unlink(image_path(image));
    symlink(in_folder("precious"), image_path(image));
}
static void put_a_link_to_itself_there(void)
{
    rename(image_path(image), in_folder("moved"));
    symlink(in_folder("moved"), image_path(image));
}
static void put_a_pipe_there(void)
{
    unlink(image_path(image));
    mkfifo(image_path(image), 0600);
}
static void limit_sizes(void)
{
    limit_file_size(100);
}
static void use_up_descriptors(void)
{
    struct rlimit none = {0, 0};
    child_skip_under_valgrind();
    setrlimit(RLIMIT_NOFILE, &none);
}

static const struct loss {
    const char *name;
    void (*happen)(void);
} losses[] = {
#define LOSS(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
    LOSS(remove_it),          LOSS(exchange_it),
    LOSS(put_a_link_there),   LOSS(put_a_link_to_itself_there),
    LOSS(put_a_pipe_there),   LOSS(limit_sizes),
    LOSS(use_up_descriptors),
};

static const struct loss *this_loss;
static const struct growth *this_growth;

static void child_check_precious(void)
{
    char text[64] = "";
    FILE *file = fopen(in_folder("precious"), "re");
    if (file == NULL)
        return;
    child_check(fread(text, 1, sizeof text - 1, file) == strlen(precious), "%s", text);
    child_check(strcmp(text, precious) == 0, "%s", text);
    fclose(file);
}

static void child_lose(void)
{
    const struct detour_plan *plan = plan_to(evaluate);
    child_fill(this_growth, plan);
    this_loss->happen();
    alarm(20); /* for the pipe */
    child_check_full(this_growth);
    child_check_precious();
}

START_TEST(file_lost)
{
    for (this_loss = losses; this_loss < losses + LENGTH_OF(losses); this_loss++)
        for (size_t i = 0; i < LENGTH_OF(growths); i++) {
            clear_folder();
            this_growth = &growths[i];
            assert_in_child(child_lose);
        }
}
END_TEST

/* The numbers in `growths` are what the tests above depend on. */
START_TEST(grows_where_it_should)
{
    const struct detour_plan *plan = plan_to(evaluate);
    for (size_t i = 0; i < LENGTH_OF(growths); i++) {
        image = keep(image_create(folder, growths[i].spacing, plan, NULL));
        int32_t full = 0;
        for (uint32_t j = 0; j <= growths[i].before; j++) {
            if (j == growths[i].before)
                ck_assert_int_eq(unlink(image_path(image)), 0);
            full = image_add(image, grown_name(&growths[i], j), growths[i].length, 1);
            ck_assert_msg(full == (j < growths[i].before ? (int32_t)j : -1), "%s: %d of %u",
                          growths[i].region, full, growths[i].before);
        }
    }
}
END_TEST

static void grow_on_small_disk(void)
{
    const struct detour_plan *plan = plan_to(evaluate);
    /* What a new image takes, and less than a step more. */
    child_mount_small_disk(256 << 10, 0);
    child_fill(this_growth, plan);
    child_check_full(this_growth);
    child_check(image_create(folder, 1, plan, NULL) == NULL, "%s", "there is room for another");
    child_check(count_entries() == 1, "%d entries", count_entries());
}

START_TEST(full_disk)
{
    for (this_growth = growths; this_growth < growths + LENGTH_OF(growths); this_growth++)
        assert_in_child(grow_on_small_disk);
}
END_TEST

static void child_check_usable(const struct failure *why)
{
    child_check(image != NULL, "%s: %s", failure_message(why->code), why->what);
    child_check(image_add(image, "py::f:f.py", 10, 1) == 0, "%s", image_name(image, 0));
    long got = trampoline_function(image, 0)(1, 2, 3);
    child_check(got == 123, "%ld", got);
}

static void under_mdwe(void)
{
    child_deny_write_execute();
    struct failure why = {.code = FAILURE_NONE};
    const struct detour_plan *plan = plan_to(evaluate);
    errno = EXFULL;
    image = image_create_anonymous(1, plan, &why);
    child_check_usable(&why);
    image = image_create(folder, 1, plan, &why);
    child_check_usable(&why);
    child_check(errno == EXFULL, "%s", strerror(errno));
}

static void anonymous_without_open(void)
{
    child_forbid_open();
    struct failure why = {.code = FAILURE_NONE};
    image = image_create_anonymous(1, plan_to(evaluate), &why);
    child_check_usable(&why);
}

static void under_mdwe_without_open(void)
{
    child_deny_write_execute();
    child_forbid_open();
    struct failure why = {.code = FAILURE_NONE};
    const struct detour_plan *plan = plan_to(evaluate);
    errno = EXFULL;
    child_check(image_create_anonymous(1, plan, &why) == NULL, "%s", "memory is made executable");
    child_check(why.code == FAILURE_IMAGE_LOAD, "%s", failure_message(why.code));
    child_check(why.sys_errno != 0, "%s", why.what);
    child_check(errno == EXFULL, "%s", strerror(errno));
    child_check(image_create_anonymous(1, plan, NULL) == NULL, "%s", "memory is made executable");
}

START_TEST(memory_that_may_not_become_executable)
{
    assert_in_child(under_mdwe);
    assert_in_child(anonymous_without_open);
    assert_in_child(under_mdwe_without_open);
}
END_TEST

static void anonymous_without_address_space(void)
{
    const struct detour_plan *plan = plan_to(evaluate);
    struct rlimit limit = {1 << 20, 1 << 20};
    struct failure why = {.code = FAILURE_NONE};
    child_skip_under_valgrind();
    setrlimit(RLIMIT_AS, &limit);
    errno = EXFULL;
    child_check(image_create_anonymous(1, plan, &why) == NULL, "%s", "it is made");
    child_check(errno == EXFULL, "%s", strerror(errno));
    child_check(why.code == FAILURE_MEMORY && why.sys_errno == ENOMEM, "%s: %s",
                failure_message(why.code), strerror(why.sys_errno));
    child_check(image_create_anonymous(1, plan, NULL) == NULL, "%s", "it is made");
}

START_TEST(no_memory)
{
    assert_in_child(anonymous_without_address_space);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        not_made,
        file_lost,
        grows_where_it_should,
        full_disk,
        memory_that_may_not_become_executable,
        no_memory,
    };
    return run_suite("image_hostile", tests, LENGTH_OF(tests));
}
