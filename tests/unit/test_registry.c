/* test_registry.c - the functions of a process: which are equal, in which image they are, and whose
 * they are after a fork. Failures to make an image: test_registry_failures.c. */
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch.h"
#include "preload/cpython/interned.h"
#include "profile/files.h"
#include "trampoline/plan/elf_lookup.h"

TEST(same_function_same_id)
{
    start_registry();
    uint32_t id = add_named(PROFILE_MAP, "f", "f.py", 7);
    ck_assert_uint_ne(id, REGISTRY_NONE);
    ck_assert_uint_eq(add_named(PROFILE_MAP, "f", "f.py", 7), id);
    const uint32_t others[] = {
        id,
        add_named(PROFILE_MAP, "f", "f.py", 8),
        add_named(PROFILE_MAP, "f", "f.py", 0),
        add_named(PROFILE_MAP, "f", "f.py", UINT32_MAX),
        add_named(PROFILE_MAP, "f", "f.pyc", 7),
        add_named(PROFILE_MAP, "f.py", "f", 7),
        add_named(PROFILE_MAP, "g", "f.py", 7),
        add_named(PROFILE_MAP, "", "f.py", 7),
        add_named(PROFILE_MAP, "f", "", 7),
        add_named(PROFILE_JITDUMP, "f", "f.py", 7),
    };
    for (size_t i = 0; i < LENGTH_OF(others); i++) {
        ck_assert_uint_ne(others[i], REGISTRY_NONE);
        for (size_t j = 0; j < i; j++) {
            ck_assert_uint_ne(others[i], others[j]);
            ck_assert_uint_ne(registry_address(others[i]), registry_address(others[j]));
        }
    }
    ck_assert_uint_eq(add_named(PROFILE_MAP, "f", "f.py", 7), id);
    ck_assert_uint_eq(add_named(PROFILE_JITDUMP, "f", "f.py", 7), others[9]);
}

TEST(names)
{
    start_registry();
    uint32_t id = add_named(PROFILE_MAP, "Class.f", "/srv/a:b.py", 7);
    ck_assert_str_eq(shown_name(id), "py::Class.f:/srv/a:b.py");
    ck_assert_str_eq(interned(registry_function(id)->qualname), "Class.f");
    ck_assert_str_eq(interned(registry_function(id)->file), "/srv/a:b.py");
    ck_assert_uint_eq(registry_function(id)->line, 7);
    ck_assert_str_eq(shown_name(add_named(PROFILE_MAP, "", "", 0)), "py:::");

    static char longest[16384 + 1];
    memset(longest, 'n', sizeof longest - 1);
    const char *shown = shown_name(add_named(PROFILE_MAP, longest, "f.py", 1));
    ck_assert_uint_eq(strlen(shown), 16384);
    ck_assert_str_eq(shown + 16384 - 6, "nnn...");
}

/* Checks that perf finds a symbol for each, at its trampoline. */
TEST(symbols_of_the_image)
{
    start_registry();
    uint32_t ids[3];
    for (uint32_t i = 0; i < LENGTH_OF(ids); i++)
        ids[i] = add_function(PROFILE_MAP, i);
    struct elf_symbol symbols[LENGTH_OF(ids)];
    char shown[LENGTH_OF(ids)][200];
    for (uint32_t i = 0; i < LENGTH_OF(ids); i++) {
        snprintf(shown[i], sizeof shown[i], "%s", shown_name(ids[i]));
        symbols[i] = (struct elf_symbol){.name = shown[i]};
    }
    ck_assert(elf_lookup(first_file("pyperf-*.so"), NULL, NULL, symbols, LENGTH_OF(ids), NULL));
    for (uint32_t i = 0; i < LENGTH_OF(ids); i++) {
        ck_assert_msg(symbols[i].address != 0, "no symbol %s", shown[i]);
        ck_assert_uint_eq(symbols[i].address - symbols[0].address,
                          registry_address(ids[i]) - registry_address(ids[0]));
    }
}

TEST(found_by_address)
{
    start_registry();
    uint32_t first = add_function(PROFILE_MAP, 1), second = add_function(PROFILE_MAP, 2);
    uint32_t third = add_function(PROFILE_JITDUMP, 3);
    ck_assert_uint_eq(registry_at(registry_address(first)), first);
    ck_assert_uint_eq(registry_at(registry_address(second)), second);
    ck_assert_uint_eq(registry_at(registry_address(second) + 13), second);
    ck_assert_uint_eq(registry_at(registry_address(second) + ARCH_TRAMPOLINE_SIZE), REGISTRY_NONE);
    ck_assert_uint_eq(registry_at(registry_address(first) - 1), REGISTRY_NONE);
    ck_assert_uint_eq(registry_at(registry_address(third)), third);
    ck_assert_uint_eq(registry_at((uintptr_t)sum), REGISTRY_NONE);
    ck_assert_uint_eq(registry_at(0), REGISTRY_NONE);
    ck_assert_uint_eq(registry_at(UINTPTR_MAX), REGISTRY_NONE);
    evaluator *trampoline;
    uintptr_t address = registry_address(second);
    memcpy(&trampoline, &address, sizeof trampoline);
    ck_assert_int_eq(trampoline(1, 2, 3), 6);
}

/* Checks that registry_next gives these, and then no more. */
static void check_order(enum profile_mode mode, const uint32_t *ids, size_t count)
{
    uint32_t id = REGISTRY_NONE;
    for (size_t i = 0; i < count; i++) {
        id = registry_next(mode, id);
        if (id != ids[i])
            ck_abort_msg("function %zu is id %u, expected %u", i, id, ids[i]);
    }
    ck_assert_uint_eq(registry_next(mode, id), REGISTRY_NONE);
}

enum { MANY = 100000 };
static uint32_t many[MANY];

TEST(more_than_an_image_holds)
{
    if (skip_under_valgrind())
        return;
    start_registry();
    int descriptors = count_descriptors();
    for (uint32_t i = 0; i < MANY; i++)
        if ((many[i] = add_function(PROFILE_MAP, i)) == REGISTRY_NONE)
            ck_abort_msg("no id for function %u", i);
    ck_assert_int_eq(count_descriptors(), descriptors);
    for (uint32_t i = 0; i < MANY; i++)
        if (add_function(PROFILE_MAP, i) != many[i] ||
            registry_at(registry_address(many[i])) != many[i] ||
            registry_function(many[i])->line != i ||
            strcmp(interned(registry_function(many[i])->qualname), name_of(i)) != 0)
            ck_abort_msg("function %u is id %u, by address %u, named %s", i, many[i],
                         registry_at(registry_address(many[i])), shown_name(many[i]));
    ck_assert_int_eq(count_files("pyperf-*.so"), 2);
    check_order(PROFILE_MAP, many, MANY);
}

/* So many that they collide in the table: the same name on many lines, and names that are prefixes
 * of earlier ones. */
enum { LINES = 30000, LENGTHS = 3000 };

static uint32_t add_alike(uint32_t i)
{
    static char name[LENGTHS + 1];
    if (i < LINES)
        return add_named(PROFILE_MAP, "<lambda>", "f.py", i);
    memset(name, 'n', LENGTHS);
    name[LINES + LENGTHS - i] = '\0';
    return add_named(PROFILE_MAP, name, "f.py", 0);
}

TEST(alike_but_not_the_same)
{
    if (skip_under_valgrind())
        return;
    start_registry();
    for (uint32_t i = 0; i < LINES + LENGTHS; i++)
        many[i] = add_alike(i);
    for (uint32_t i = 0; i < LINES + LENGTHS; i++)
        if (many[i] != many[0] + i || add_alike(i) != many[i])
            ck_abort_msg("function %u is id %u and then %u, named %s", i, many[i], add_alike(i),
                         shown_name(many[i]));
}

TEST(each_mode_has_its_own_trampolines)
{
    start_registry();
    const uint32_t in_map[] = {add_function(PROFILE_MAP, 7), add_function(PROFILE_MAP, 8)};
    const uint32_t in_dump[] = {add_function(PROFILE_JITDUMP, 7), add_function(PROFILE_JITDUMP, 9)};
    ck_assert_uint_eq(registry_address(in_map[1]) - registry_address(in_map[0]),
                      ARCH_TRAMPOLINE_SIZE);
    ck_assert_uint_eq(registry_address(in_dump[1]) - registry_address(in_dump[0]),
                      16 * ARCH_TRAMPOLINE_SIZE);
    ck_assert_uint_eq(add_function(PROFILE_MAP, 7), in_map[0]);
    ck_assert_uint_eq(add_function(PROFILE_JITDUMP, 7), in_dump[0]);
    ck_assert_int_eq(count_files("pyperf-*.so"), 2);
    check_order(PROFILE_MAP, in_map, 2);
    check_order(PROFILE_JITDUMP, in_dump, 2);
    ck_assert_int_eq(maps_opened + dumps_opened, 0);
}

/* The image stays for its functions; the next function goes into another one. */
TEST(discarded)
{
    bool made = false;
    start_registry();
    ck_assert_uint_eq(registry_next(PROFILE_MAP, REGISTRY_NONE), REGISTRY_NONE);
    ck_assert(registry_prepare(PROFILE_MAP, &made, NULL) && made);
    ck_assert(registry_prepare(PROFILE_MAP, &made, NULL) && !made);
    ck_assert(registry_prepare(PROFILE_JITDUMP, &made, NULL) && made);
    ck_assert_int_eq(count_files("pyperf-*.so"), 2);
    registry_discard(PROFILE_JITDUMP);
    ck_assert_int_eq(count_files("*"), 1);
    uint32_t first = add_function(PROFILE_MAP, 1);
    ck_assert_int_eq(count_files("*"), 1);
    for (int i = 0; i < 100; i++) { /* more than fit at a time */
        ck_assert(registry_prepare(PROFILE_JITDUMP, &made, NULL) && made);
        registry_discard(PROFILE_JITDUMP);
    }
    ck_assert_int_eq(count_files("*"), 1);
    uint32_t second = add_function(PROFILE_JITDUMP, 1);
    ck_assert_uint_ne(second, REGISTRY_NONE);
    ck_assert_uint_eq(add_function(PROFILE_MAP, 1), first);
    ck_assert_uint_eq(registry_at(registry_address(second)), second);
    ck_assert_int_eq(count_files("*"), 2);
}

static uint32_t parents[2];

/* In a child: the parent's functions are found, and become the child's when they are registered
 * again; new ones go into an image of its own. */
static void live_as_child(void)
{
    uintptr_t address = registry_address(parents[0]);
    uint32_t ids[3];
    registry_forked();
    child_check(strcmp(interned(registry_function(parents[0])->qualname), name_of(0)) == 0, "%s",
                shown_name(parents[0]));
    child_check(registry_function(parents[1])->line == 1, "%u",
                registry_function(parents[1])->line);
    child_check(registry_at(address) == parents[0], "%u", registry_at(address));
    child_check(registry_next(PROFILE_MAP, REGISTRY_NONE) == REGISTRY_NONE, "%s", "not its own");
    for (int again = 0; again < 2; again++) {
        ids[0] = add_function(PROFILE_MAP, 1);
        child_check(ids[0] == parents[1], "%u", ids[0]);
        check_order(PROFILE_MAP, ids, 1);
    }
    child_check(count_images(getpid()) == 0, "%s", "an image for what the parent has");
    ids[1] = add_function(PROFILE_MAP, 2);
    ids[2] = add_function(PROFILE_MAP, 0);
    child_check(ids[1] != parents[0] && ids[1] != parents[1], "%u is the parent's", ids[1]);
    child_check(add_function(PROFILE_MAP, 2) == ids[1], "%s", "it is not the same");
    child_check(registry_at(registry_address(ids[1])) == ids[1], "%u", ids[1]);
    child_check(ids[2] == parents[0], "%u", ids[2]);
    check_order(PROFILE_MAP, ids, LENGTH_OF(ids));
    child_check(count_images(getpid()) == 1, "%s", "no image of its own");
    child_check(add_function(PROFILE_JITDUMP, 0) != parents[0], "%s", "of another mode");
}

TEST(forked_child_goes_on)
{
    start_registry();
    for (uint32_t i = 0; i < LENGTH_OF(parents); i++)
        parents[i] = add_function(PROFILE_MAP, i);
    for (int child = 0; child < 3; child++)
        assert_in_child(live_as_child);
    ck_assert_int_eq(count_files("pyperf-*.so"), 1 + 3 * 2);
    check_order(PROFILE_MAP, parents, LENGTH_OF(parents));
    ck_assert_uint_eq(add_function(PROFILE_MAP, 0), parents[0]);
    ck_assert_uint_ne(add_function(PROFILE_MAP, 2), REGISTRY_NONE);
}

/* If the parent's image cannot be read, all functions are registered again. */
static void check_starts_anew(void)
{
    registry_forked();
    uint32_t ids[2] = {add_function(PROFILE_MAP, 0), add_function(PROFILE_MAP, 1)};
    for (uint32_t i = 0; i < 2; i++) {
        child_check(ids[i] != parents[i] && ids[i] != REGISTRY_NONE, "%u", ids[i]);
        child_check(add_function(PROFILE_MAP, i) == ids[i], "%s", "it is not the same");
        child_check(registry_function(parents[i])->line == i, "%u", i);
    }
    check_order(PROFILE_MAP, ids, 2);
    child_check(count_images(getpid()) == 1, "%d images", count_images(getpid()));
}

static void become_another_user(void)
{
    if (chmod(folder, 0777) != 0 || seteuid(12345) != 0)
        child_skip("seteuid", errno);
    check_starts_anew();
}

static void lose_the_image(void)
{
    char pattern[100];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/pyperf-%d-*.so", folder, (int)getppid());
    child_check(glob(pattern, 0, NULL, &found) == 0, "%s", pattern);
    unlink(found.gl_pathv[0]);
    globfree(&found);
    check_starts_anew();
}

TEST(forked_child_starts_anew)
{
    start_registry();
    for (uint32_t i = 0; i < LENGTH_OF(parents); i++)
        parents[i] = add_function(PROFILE_MAP, i);
    assert_in_child(become_another_user);
    assert_in_child(lose_the_image);
    check_order(PROFILE_MAP, parents, LENGTH_OF(parents));
}

static void fork_ten_times(void)
{
    uint32_t before = add_function(PROFILE_MAP, 4711), next = before;
    for (uint32_t generation = 0; generation < 10; generation++) {
        pid_t pid = fork();
        if (pid != 0) {
            int status;
            child_check(waitpid(pid, &status, 0) == pid && status == 0, "status %#x", status);
            return;
        }
        registry_forked();
        child_check(add_function(PROFILE_MAP, 4711) == before, "%u", before);
        if (generation >=
            5) /* the last five have a function of their own each, and all before it */
            next = add_function(PROFILE_MAP, 5000 + generation);
        for (uint32_t i = 5; i <= generation; i++)
            child_check(add_function(PROFILE_MAP, 5000 + i) <= next, "%u of %u", i, generation);
    }
    child_check(count_files("pyperf-*.so") == 6, "%d", count_files("pyperf-*.so"));
}

TEST(generations)
{
    start_registry();
    ck_assert_uint_ne(add_function(PROFILE_MAP, 4711), REGISTRY_NONE);
    assert_in_child(fork_ten_times);
    ck_assert_int_eq(count_files("pyperf-*.so"), 6);
}
