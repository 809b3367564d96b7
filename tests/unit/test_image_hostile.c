/* test_image_hostile.c - an image whose file cannot be made, is removed or replaced, or cannot
 * grow: the failure is reported, nothing is left behind, and no other file is touched. */
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

/* The disk space of an image with so many bytes of trampolines: its head with their unwind data, and a
 * block each of the loader's part, sections, symbols and names. */
#define DISK_SPACE(text)                                                                           \
    (IMAGE_BLOCK_ALIGN(IMAGE_FDES_OFFSET + IMAGE_FDES_MAX(text)) + IMAGE_BLOCK_ALIGN(text) +       \
     4 * IMAGE_BLOCK)

static const char precious[] = "foreign data\n";

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

TEST_IN_CHILD(odd_directories)
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

TEST_IN_CHILD(limited_size)
{
    static const size_t limits[] = {
        0,      1, 4095, 4096, 65536, 1 << 20, IMAGE_DYNAMIC_OFFSET + 4095, IMAGE_SYMTAB_OFFSET + 1,
        2 << 20};
    for (size_t i = 0; i < LENGTH_OF(limits); i++) {
        limit_file_size(limits[i]);
        child_check_refused(folder, FAILURE_IMAGE_FILE, EFBIG);
        child_check(count_entries() == 0, "%zu: %d entries", limits[i], count_entries());
    }
}

TEST_IN_CHILD(no_descriptors)
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

TEST_IN_CHILD(no_address_space)
{
    struct rlimit limit;
    const struct detour_plan *plan = plan_to(evaluate);
    struct failure why = {.code = FAILURE_NONE};
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = 1 << 20; /* less than is in use */
    child_skip_under_valgrind();
    setrlimit(RLIMIT_AS, &limit);
    child_skip_without_limit();
    child_check(image_create(folder, 1, plan, &why) == NULL, "%s", folder);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_AS, &limit);
    child_check(why.code == FAILURE_IMAGE_FILE && why.sys_errno == ENOMEM, "%s: %s",
                failure_message(why.code), strerror(why.sys_errno));
    child_check(count_entries() == 0, "%d entries", count_entries());
}

TEST_IN_CHILD(small_disk)
{
    child_mount_small_disk(DISK_SPACE(IMAGE_BLOCK) - IMAGE_BLOCK, 0);
    child_check_refused(folder, FAILURE_IMAGE_FILE, ENOSPC);
    child_check(count_entries() == 0, "%d entries", count_entries());
}

TEST_IN_CHILD(read_only_disk)
{
    child_mount_small_disk(1 << 20, MS_RDONLY);
    child_check_refused(folder, FAILURE_IMAGE_FILE, EROFS);
}

TEST_IN_CHILD(disk_without_execution)
{
    child_mount_small_disk(1 << 20, MS_NOEXEC);
    child_check_refused(folder, FAILURE_IMAGE_LOAD, 0);
    child_check(count_entries() == 0, "%d entries", count_entries());
}

/* What makes each of the three regions grow first: a large spacing fills the text, short names fill
 * the symbols, long ones the names. */
static const struct growth {
    const char *region;
    uint32_t spacing, before; /* functions that fit without growing */
    size_t length;            /* of their names */
} growths[] = {
    {"text", 16, IMAGE_BLOCK / (16 * ARCH_TRAMPOLINE_SIZE), 8},
    {"symbols", 1, 168, 8},
    {"names", 1, 4, 999},
};

static const char *grown_name(const struct growth *growth, uint32_t number)
{
    static char name[1000];
    snprintf(name, sizeof name, "%0*u", (int)growth->length, number);
    return name;
}

static struct image *image;
static int reader; /* of its file */

static void child_fill(const struct growth *growth, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        int error = image_append(image, grown_name(growth, i), growth->length);
        child_check(error == 0, "%s, function %u: %s", growth->region, i, strerror(error));
    }
}

static void child_begin(const struct growth *growth)
{
    image = image_create(folder, growth->spacing, plan_to(evaluate), NULL);
    child_check(image != NULL, "%s", growth->region);
    reader = open(image_path(image), O_RDONLY | O_CLOEXEC);
    child_fill(growth, 0, growth->before);
}

/* Checks that it has so many functions, in memory and in the file, and that all work. */
static void child_check_image(const struct growth *growth, uint32_t count)
{
    child_check(image_used(image) == count, "%s: %u", growth->region, image_used(image));
    child_check(count_symbols(reader) == count, "%s: %u", growth->region, count_symbols(reader));
    for (uint32_t i = 0; i < count; i++) {
        const char *name = symbol_name(reader, i);
        child_check(strcmp(name, grown_name(growth, i)) == 0, "%s: %s", growth->region, name);
        long got = trampoline_function(image, i)(1, 2, 3);
        child_check(got == 123, "%s: trampoline %u returns %ld", growth->region, i, got);
    }
}

/* Checks that it does not grow, returns the error each time, and that its functions still work. */
static void child_check_refuses(const struct growth *growth, int expected)
{
    for (int again = 0; again < 3; again++) {
        errno = EXFULL;
        int error = image_append(image, grown_name(growth, 0), growth->length);
        child_check(error == expected, "%s: %s, expected %s", growth->region, strerror(error),
                    strerror(expected));
        child_check(errno == EXFULL, "%s", strerror(errno));
    }
    child_check_image(growth, growth->before);
}

/* Ways to lose the file; each leaves a file "precious" that must not be touched. */
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
static void put_a_folder_there(void)
{
    unlink(image_path(image));
    mkdir(image_path(image), 0700);
}
static void become_another_user(void)
{
    if (seteuid(12345) != 0)
        child_skip("seteuid", errno);
}

/* Transient shortages. */
static void set_limit(int which, rlim_t value)
{
    struct rlimit limit;
    getrlimit(which, &limit);
    limit.rlim_cur = value == RLIM_INFINITY ? limit.rlim_max : value;
    child_check(setrlimit(which, &limit) == 0, "%s", strerror(errno));
}
static void limit_sizes(void)
{
    limit_file_size(100);
}
static void lift_limit_of_sizes(void)
{
    set_limit(RLIMIT_FSIZE, RLIM_INFINITY);
}
static void use_up_descriptors(void)
{
    child_skip_under_valgrind();
    set_limit(RLIMIT_NOFILE, 0);
}
static void free_descriptors(void)
{
    set_limit(RLIMIT_NOFILE, RLIM_INFINITY);
}

static const struct loss {
    const char *name;
    void (*happen)(void), (*pass)(void);
    int error;
} losses[] = {
    {"removed", remove_it, NULL, ESTALE},
    {"exchanged", exchange_it, NULL, ESTALE},
    {"a link", put_a_link_there, NULL, ESTALE},
    {"a link to itself", put_a_link_to_itself_there, NULL, ESTALE},
    {"a pipe", put_a_pipe_there, NULL, ESTALE},
    {"a folder", put_a_folder_there, NULL, ESTALE},
    {"another user", become_another_user, NULL, ESTALE},
    {"a limit of sizes", limit_sizes, lift_limit_of_sizes, EFBIG},
    {"no descriptors", use_up_descriptors, free_descriptors, EMFILE},
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
    child_begin(this_growth);
    this_loss->happen();
    alarm(20); /* for the pipe */
    child_check_refuses(this_growth, this_loss->error);
    if (this_loss->pass != NULL) {
        this_loss->pass();
        child_fill(this_growth, this_growth->before, 3 * this_growth->before);
        child_check_image(this_growth, 3 * this_growth->before);
    }
    child_check_precious();
}

TEST(file_lost)
{
    for (this_loss = losses; this_loss < losses + LENGTH_OF(losses); this_loss++)
        for (size_t i = 0; i < LENGTH_OF(growths); i++) {
            clear_folder();
            this_growth = &growths[i];
            assert_in_child(child_lose);
        }
}

/* Checks the numbers in `growths`, on which the tests above depend. */
TEST(grows_where_it_should)
{
    for (size_t i = 0; i < LENGTH_OF(growths); i++) {
        image = keep(image_create(folder, growths[i].spacing, plan_to(evaluate), NULL));
        for (uint32_t j = 0; j <= growths[i].before; j++) {
            if (j == growths[i].before)
                ck_assert_int_eq(unlink(image_path(image)), 0);
            int error = image_append(image, grown_name(&growths[i], j), growths[i].length);
            ck_assert_msg(error == (j < growths[i].before ? 0 : ESTALE), "%s: %s at %u of %u",
                          growths[i].region, strerror(error), j, growths[i].before);
        }
    }
}

static void grow_on_small_disk(void)
{
    const size_t text =
        IMAGE_BLOCK_ALIGN(this_growth->before * this_growth->spacing * ARCH_TRAMPOLINE_SIZE);
    child_mount_small_disk(DISK_SPACE(text), 0);
    child_begin(this_growth);
    child_check_refuses(this_growth, ENOSPC);
    child_check(image_create(folder, 1, plan_to(evaluate), NULL) == NULL, "%s",
                "there is room for another");
    child_check(count_entries() == 1, "%d entries", count_entries());
    child_check(mount(NULL, folder, NULL, MS_REMOUNT, "size=1M") == 0, "%s", strerror(errno));
    child_fill(this_growth, this_growth->before, 3 * this_growth->before);
    child_check_image(this_growth, 3 * this_growth->before);
}

TEST(full_disk)
{
    for (this_growth = growths; this_growth < growths + LENGTH_OF(growths); this_growth++)
        assert_in_child(grow_on_small_disk);
}

static void child_check_usable(const struct failure *why)
{
    child_check(image != NULL, "%s: %s", failure_message(why->code), why->what);
    child_check(image_append(image, "py::f:f.py", 10) == 0, "%s", "no room");
    long got = trampoline_function(image, 0)(1, 2, 3);
    child_check(got == 123, "%ld", got);
}

TEST_IN_CHILD(under_mdwe)
{
    child_deny_write_execute();
    struct failure why = {.code = FAILURE_NONE};
    const struct detour_plan *plan = plan_to(evaluate);
    errno = EXFULL;
    image = image_create(NULL, 1, plan, &why);
    child_check_usable(&why);
    image = image_create(folder, 1, plan, &why);
    child_check_usable(&why);
    child_check(errno == EXFULL, "%s", strerror(errno));
}

TEST_IN_CHILD(anonymous_without_open)
{
    child_forbid_open();
    struct failure why = {.code = FAILURE_NONE};
    image = image_create(NULL, 1, plan_to(evaluate), &why);
    child_check_usable(&why);
}

TEST_IN_CHILD(under_mdwe_without_open)
{
    child_deny_write_execute();
    child_forbid_open();
    struct failure why = {.code = FAILURE_NONE};
    const struct detour_plan *plan = plan_to(evaluate);
    errno = EXFULL;
    child_check(image_create(NULL, 1, plan, &why) == NULL, "%s", "memory is made executable");
    child_check(why.code == FAILURE_IMAGE_LOAD, "%s", failure_message(why.code));
    child_check(why.sys_errno != 0, "%s", why.what);
    child_check(errno == EXFULL, "%s", strerror(errno));
    child_check(image_create(NULL, 1, plan, NULL) == NULL, "%s", "memory is made executable");
}

TEST_IN_CHILD(no_memory)
{
    const struct detour_plan *plan = plan_to(evaluate);
    struct rlimit limit = {1 << 20, 1 << 20};
    struct failure why = {.code = FAILURE_NONE};
    child_skip_under_valgrind();
    setrlimit(RLIMIT_AS, &limit);
    child_skip_without_limit();
    errno = EXFULL;
    child_check(image_create(NULL, 1, plan, &why) == NULL, "%s", "it is made");
    child_check(errno == EXFULL, "%s", strerror(errno));
    child_check(why.code == FAILURE_MEMORY && why.sys_errno == ENOMEM, "%s: %s",
                failure_message(why.code), strerror(why.sys_errno));
    child_check(image_create(NULL, 1, plan, NULL) == NULL, "%s", "it is made");
}
