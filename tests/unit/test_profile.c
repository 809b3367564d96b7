/* test_profile.c - profiling is switched on and off, on the detour of a small interpreter. */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "interpreter/detour.h"
#include "trampoline/hook.h"

static python_object *code_named(const char *name)
{
    return new_code("app.py", name, name, 7);
}

/* Checks that the files hold each function of this process once. */
static void check_files(void)
{
    static uint32_t ids[4096];
    for (int mode = PROFILE_MAP; mode <= PROFILE_JITDUMP; mode++) {
        size_t count = 0;
        for (uint32_t id = REGISTRY_NONE; (id = registry_next(mode, id)) != REGISTRY_NONE;)
            ids[count++] = id;
        if (count != 0 && mode == PROFILE_MAP)
            check_map(getpid(), "", ids, count);
        else if (count != 0)
            check_dump(getpid(), ids, count);
    }
    child_check(*reports() == '\0', "%s", reports());
}

static void start(enum profile_mode mode)
{
    start_profile(version.major, version.minor, mode);
}

TEST_BY(for_each_version, off)
{
    start(PROFILE_OFF);
    child_check(text_is_its_own() && profile_mode() == PROFILE_OFF, "%d", profile_mode());
    child_check(run(code_named("f")) == REGISTRY_NONE, "3.%u", version.minor);
    child_check(slow_ways == 0 && count_files("*") == 1, "%d", slow_ways); /* the reports */
    struct failure why;
    child_check(profile_arm(&why) && !text_is_its_own(), "%s", why.what);
    python_object *code = code_named("f");
    child_check(run(code) == REGISTRY_NONE && slow_ways == 1, "%d", slow_ways);
    child_check(run(code) == REGISTRY_NONE && slow_ways == 2, "%d", slow_ways);
    profile_code(code);
    child_check(count_files("*") == 1, "%s", "a file");
}

TEST_BY(for_each_version, on)
{
    start(PROFILE_MAP);
    python_object *code = code_named("f"), *other = code_named("g"), *alike = code_named("f");
    child_check(profile_mode() == PROFILE_MAP && !text_is_its_own(), "%d", profile_mode());
    uint32_t id = run(code);
    child_check(id != REGISTRY_NONE && strcmp(shown_name(id), "py::f:app.py") == 0, "3.%u: %u",
                version.minor, id);
    child_check(registry_function(id)->line == 7, "%u", registry_function(id)->line);
    if (version.major == 2) /* the hook's table has it after the second run at the latest */
        run(code);
    int before = slow_ways;
    child_check(run(code) == id && slow_ways == before, "%d", slow_ways - before);
    child_check(run(other) != id && run(alike) == id, "%u", run(alike));
    profile_code(code = code_named("h"));
    id = run(code);
    child_check(id != REGISTRY_NONE && strcmp(name_run(code), "h") == 0, "%u", id);
    check_files();
}

TEST_BY(for_each_version, off_and_on)
{
    start(PROFILE_MAP);
    python_object *code = code_named("f");
    uint32_t id = run(code);
    switch_to(PROFILE_OFF);
    child_check(text_is_its_own() && profile_mode() == PROFILE_OFF, "%d", profile_mode());
    int before = slow_ways;
    child_check(run(code) == REGISTRY_NONE && run(code_named("off")) == REGISTRY_NONE, "%u", id);
    child_check(slow_ways == before, "%d", slow_ways - before);
    switch_to(PROFILE_OFF);
    switch_to(PROFILE_MAP);
    switch_to(PROFILE_MAP);
    child_check(run(code) == id && run(code_named("on")) == id + 1, "%u", id);
    switch_to(PROFILE_JITDUMP);
    uint32_t in_dump = run(code);
    child_check(in_dump != id && in_dump != REGISTRY_NONE, "%u and %u", id, in_dump);
    child_check(strcmp(name_run(code), "f") == 0, "%s", name_run(code));
    switch_to(PROFILE_MAP);
    child_check(run(code) == id, "%u", id);
    switch_to(PROFILE_JITDUMP);
    child_check(run(code) == in_dump, "%u", in_dump);
    child_check(count_images(getpid()) == 2, "%d images", count_images(getpid()));
    check_files();
}

/* Images are removed while it is off: perf would find no name for their trampolines. */
TEST_BY(for_each_version, removed_images)
{
    start(PROFILE_MAP);
    python_object *code = code_named("f"), *later = code_named("g");
    uint32_t id = run(code);
    switch_to(PROFILE_OFF);
    switch_to(PROFILE_MAP);
    child_check(run(code) == id && count_images(getpid()) == 1, "%u", id); /* nothing was removed */
    for (int i = 1; i <= 2; i++) {
        uint32_t before = id;
        switch_to(PROFILE_OFF);
        remove_files("pyperf-*.so");
        switch_to(PROFILE_MAP);
        id = run(code);
        child_check(id != before && strcmp(name_run(code), "f") == 0, "%s", name_run(code));
        child_check(run(later) != REGISTRY_NONE && run(code) == id, "%u", id);
        child_check(count_images(getpid()) == 1 && registry_has_symbol(id), "%s", "no image");
    }
    child_check(*reports() == '\0', "%s", reports());
}

/* A failed switch leaves profiling as it was. */
TEST_BY(for_each_version, no_memory_for_a_switch)
{
    struct failure why = {.code = FAILURE_NONE};
    child_skip_under_valgrind();
    start(PROFILE_MAP);
    uint64_t tag = hook_state.tag;
    uint32_t id = run(code_named("f"));
    limit_address_space(64 << 20);
    child_check(!profile_switch(PROFILE_JITDUMP, &why), "%s", "there was memory");
    child_check(why.code == FAILURE_MEMORY, "%s", failure_message(why.code));
    child_check(profile_mode() == PROFILE_MAP && hook_state.tag == tag, "%d", profile_mode());
    child_check(run(code_named("meanwhile")) == id + 1, "%u", id);
    child_check(count_files("jit-*") == 0 && count_images(getpid()) == 1, "%s", "a file is left");
    limit_address_space(0);
    switch_to(PROFILE_JITDUMP);
    child_check(strcmp(name_run(code_named("then")), "then") == 0, "%u", id);
    check_files();
}

/* Switching on must write the jump; if it cannot, the image is removed. */
TEST_BY(for_each_version, no_jump_for_a_switch)
{
    struct failure why = {.code = FAILURE_NONE};
    start(PROFILE_OFF);
    uint8_t own = *(const uint8_t *)detour.site;
    change_text((uint8_t)(own ^ 1));
    for (int i = 0; i < 3; i++) {
        child_check(!profile_switch(PROFILE_MAP, &why), "%s", "it got in");
        child_check(why.code == FAILURE_TEXT_CHANGED, "%s", failure_message(why.code));
        child_check(profile_mode() == PROFILE_OFF, "%d", profile_mode());
        child_check(count_files("*") == 1, "%d files", count_files("*")); /* the reports */
    }
    change_text(own);
    switch_to(PROFILE_MAP);
    child_check(strcmp(name_run(code_named("f")), "f") == 0, "%s", reports());
    child_check(count_images(getpid()) == 1, "%d images", count_images(getpid()));
    check_files();
}

/* The jump cannot be taken out: another tool has put its own over it, which leads to ours. */
TEST_BY(for_each_version, no_way_out)
{
    start(PROFILE_MAP);
    python_object *code = code_named("f");
    run(code);
    uint8_t ours = *(const uint8_t *)detour.site;
    for (int i = 0; i < 3; i++) {
        change_text(0xcc);
        switch_to(PROFILE_OFF);
        change_text(ours);
        child_check(profile_mode() == PROFILE_OFF && run(code) == REGISTRY_NONE, "%d", i);
        child_check(count_reports() == 1, "%s", reports());
        switch_to(PROFILE_MAP);
        child_check(run(code) != REGISTRY_NONE, "%d", i);
    }
    switch_to(PROFILE_OFF);
    child_check(text_is_its_own(), "%s", "the jump is there");
}

/* A frame may start with a pending exception, thrown into a generator; errno must be kept. */
TEST_BY(for_each_version, exception_and_errno)
{
    start(PROFILE_MAP);
    python_object *codes[] = {code_named("f"), code_named("g"), code_named("f")};
    for (size_t i = 0; i < LENGTH_OF(codes); i++) {
        raise_pending("the program's");
        errno = EXFULL;
        child_check(run(codes[i]) != REGISTRY_NONE, "%zu", i);
        child_check(errno == EXFULL, "%d", errno);
        child_check(pending_type() != NULL && strcmp(pending_text(), "the program's") == 0, "%s",
                    pending_text());
        PyErr_Clear();
    }
    long before = live_objects();
    run(code_named("h"));
    child_check(live_objects() - before <= 7, "%ld", live_objects() - before); /* the code's */
}

/* Names of enclosed functions, from their first frames on (before 3.11 they are worked out). */
TEST_BY(for_each_version, enclosed_names)
{
    start(PROFILE_MAP);
    python_object *inner = new_code("app.py", "inner", "outer.<locals>.inner", 3);
    python_object *outer = new_code("app.py", "outer", "outer", 2);
    own(inner);
    if (interpreter.row.code_consts != 0)
        set_constants(outer, new_tuple(1, inner));
    run(outer);
    child_check(strcmp(name_run(inner), "outer.<locals>.inner") == 0, "%s", name_run(inner));
    switch_to(PROFILE_JITDUMP);
    child_check(strcmp(name_run(inner), "outer.<locals>.inner") == 0, "%s", name_run(inner));
    switch_to(PROFILE_OFF);
    python_object *missed = new_code("app.py", "method", "Class.method", 4);
    if (version.major != 2)
        new_function(missed, "Class.method");
    python.PyImport_AddModule("gc");
    switch_to(PROFILE_MAP);
    run(code_named("new"));
    if (version.major != 2)
        child_check(strcmp(name_run(missed), "Class.method") == 0, "%s", name_run(missed));
    check_files();
}

/* All images are full: registered functions keep their names, and new ones run without the slow
 * path. */
static void be_full(void)
{
    start(PROFILE_MAP);
    python_object *code = code_named("f"), *new = code_named("new");
    run(code);
    for (uint32_t i = 0; i < REGISTRY_IMAGES; i++) {
        registry_forked(); /* takes an image each time */
        add_function(PROFILE_MAP, i);
    }
    for (int i = 0; i < 3; i++)
        child_check(run(code) != REGISTRY_NONE && strcmp(name_run(code), "f") == 0, "%d", i);
    remove_files("pyperf-*");
    uint32_t n = 0;
    while (add_function(PROFILE_MAP, 1000 + n) != REGISTRY_NONE)
        n++;
    child_check(run(new) == REGISTRY_NONE, "%u", run(new));
    run(new);
    int before = slow_ways;
    child_check(run(new) == REGISTRY_NONE && slow_ways == before, "%d", slow_ways - before);
    child_check(count_reports() == 1, "%s", reports());
}

TEST(full)
{
    if (!skip_under_valgrind())
        for_each_version(be_full);
}
