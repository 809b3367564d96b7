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

/* Each test for each version, in a child: an interpreter is loaded once in a process. */
static struct version version;
static void for_all(void (*body)(void))
{
    for (size_t i = 0; i < VERSIONS; i++) {
        version = versions[i];
        assert_in_child(body);
        clear_folder();
    }
}

static void start(enum profile_mode mode)
{
    start_profile(version.major, version.minor, mode);
}

static void be_off(void)
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

START_TEST(off)
{
    for_all(be_off);
}
END_TEST

static void be_on(void)
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

START_TEST(on)
{
    for_all(be_on);
}
END_TEST

static void switch_off_and_on(void)
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

START_TEST(off_and_on)
{
    for_all(switch_off_and_on);
}
END_TEST

/* A failed switch leaves profiling as it was. */
static void switch_without_memory(void)
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

START_TEST(no_memory_for_a_switch)
{
    for_all(switch_without_memory);
}
END_TEST

/* Switching on must write the jump; if it cannot, the image is removed. */
static void switch_without_the_jump(void)
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

START_TEST(no_jump_for_a_switch)
{
    for_all(switch_without_the_jump);
}
END_TEST

/* The jump cannot be taken out: another tool has put its own over it, which leads to ours. */
static void stay_behind_the_jump(void)
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

START_TEST(no_way_out)
{
    for_all(stay_behind_the_jump);
}
END_TEST

/* A frame may start with a pending exception, thrown into a generator; errno must be kept. */
static void keep_what_is_the_programs(void)
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
    child_check(live_objects() - before <= 6, "%ld", live_objects() - before); /* the code's */
}

START_TEST(exception_and_errno)
{
    for_all(keep_what_is_the_programs);
}
END_TEST

/* Names of enclosed functions, from their first frames on (before 3.11 they are worked out). */
static void name_what_is_enclosed(void)
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

START_TEST(enclosed_names)
{
    for_all(name_what_is_enclosed);
}
END_TEST

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

START_TEST(full)
{
    if (!skip_under_valgrind())
        for_all(be_full);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        off,
        on,
        off_and_on,
        no_memory_for_a_switch,
        no_way_out,
        no_jump_for_a_switch,
        full,
        exception_and_errno,
        enclosed_names,
    };
    return run_suite("profile", tests, LENGTH_OF(tests));
}
