/* test_trampolines.c - from a code object and its note to a function of the registry. */
#include <unistd.h>

#include "interpreter/detour.h"
#include "preload/cpython/code_tags.h"
#include "preload/cpython/code_values.h"
#include "preload/cpython/interned.h"
#include "preload/profile/trampolines.h"

static void start(void)
{
    catch_reports();
    interpreter_start(version.major, version.minor);
    code_values_begin();
    start_registry();
}

static const char *shown(enum profile_mode mode, const python_object *code, uint64_t value)
{
    uintptr_t address = trampolines_find(mode, code, value);
    child_check(address != 0 && address != UINTPTR_MAX, "%#lx", address);
    return shown_name(registry_at(address));
}

static void is_shown(const char *got, const char *expected)
{
    child_check(strcmp(got, expected) == 0, "%u.%u: %s, expected %s", version.major, version.minor,
                got, expected);
}

static bool has_qualnames(void)
{
    return interpreter.row.code_qualname != 0;
}

TEST_BY(for_each_version, found)
{
    start();
    python_object *code = new_code("/srv/app.py", "f", "C.f", 77);
    is_shown(shown(PROFILE_MAP, code, 0),
             has_qualnames() ? "py::C.f:/srv/app.py" : "py::f:/srv/app.py");
    uintptr_t address = trampolines_find(PROFILE_MAP, code, 0);
    child_check(registry_function(registry_at(address))->line == 77, "%#lx", address);
    is_shown(trampolines_qualname(address), has_qualnames() ? "C.f" : "f");
    python_object *other_line = new_code("/srv/app.py", "f", "C.f", 78);
    python_object *other_file = new_code("/srv/app2.py", "f", "C.f", 77);
    python_object *the_same = new_code("/srv/app.py", "f", "C.f", 77);
    child_check(trampolines_find(PROFILE_MAP, other_line, 0) == address + ARCH_TRAMPOLINE_SIZE,
                "%#lx", address);
    child_check(trampolines_find(PROFILE_MAP, other_file, 0) == address + 2 * ARCH_TRAMPOLINE_SIZE,
                "%#lx", address);
    child_check(trampolines_find(PROFILE_MAP, the_same, 0) == address, "%#lx", address);
    uint32_t ids[3];
    for (uint32_t i = 0; i < 3; i++)
        ids[i] = registry_at(address + ARCH_TRAMPOLINE_SIZE * i);
    check_map(getpid(), "", ids, 3);
}

/* Before 3.11 a name is made of the note that the code object has. */
TEST_BY(for_each_version, notes)
{
    start();
    python_object *code = new_code("app.py", "f", "the.real.f", 1);
    uint64_t enclosed = HOOK_TAG(CODE_TAG_ENCLOSED) | intern("outer.<locals>.", 15);
    uint64_t qualified = HOOK_TAG(CODE_TAG_QUALIFIED) | intern("D.g", 3);
    const char *real = "py::the.real.f:app.py";
    is_shown(shown(PROFILE_MAP, code, enclosed),
             has_qualnames() ? real : "py::outer.<locals>.f:app.py");
    is_shown(shown(PROFILE_MAP, code, qualified), has_qualnames() ? real : "py::D.g:app.py");
}

/* A value from before a fork, or of the other mode, gives the function's name. */
TEST_BY(for_each_version, found_again)
{
    start();
    python_object *code = new_code("app.py", "f", "outer.<locals>.f", 1);
    uint64_t enclosed = HOOK_TAG(CODE_TAG_ENCLOSED) | intern("outer.<locals>.", 15);
    uintptr_t before = trampolines_find(PROFILE_MAP, code, enclosed);
    uint64_t value = HOOK_TAG(CODE_TAG_TRAMPOLINES) | before;
    is_shown(shown(PROFILE_JITDUMP, code, value), "py::outer.<locals>.f:app.py");
    registry_forked();
    uintptr_t after = trampolines_find(PROFILE_MAP, code, value);
    child_check(after == before, "%#lx, its parent's is %#lx", after, before);
    is_shown(shown_name(registry_at(after)), "py::outer.<locals>.f:app.py");
    /* A value that is no trampoline gives nothing. */
    value = HOOK_TAG(CODE_TAG_TRAMPOLINES) | 0x1000;
    is_shown(shown(PROFILE_MAP, code, value),
             has_qualnames() ? "py::outer.<locals>.f:app.py" : "py::f:app.py");
}

TEST_BY(for_each_version, odd_names)
{
    static char longest[70000];
    start();
    is_shown(shown(PROFILE_MAP, new_code("a\nb.py", "f\x7f", "f\x7f", 1), 0),
             "py::f\\x7f:a\\nb.py");
    is_shown(shown(PROFILE_MAP, new_code("", "", "", 0), 0), "py:::");
    is_shown(shown(PROFILE_MAP, new_code("\303\244.py", "\342\202\254", "\342\202\254", 1), 0),
             "py::\342\202\254:\303\244.py");
    memset(longest, 'n', sizeof longest - 1);
    const char *name = shown(PROFILE_MAP, new_code("app.py", longest, longest, 1), 0);
    child_check(strlen(name) == 16384 && strcmp(name + 16380, "n...") == 0, "%zu", strlen(name));
    name = shown(PROFILE_MAP, new_code(longest, "f", "f", 1), 0);
    child_check(strlen(name) == 16384 && strncmp(name, "py::f:nnn", 9) == 0, "%.20s", name);
    python_object *code = new_code("app.py", "f", "f", -1);
    shown(PROFILE_MAP, code, 0);
    child_check(trampolines_find(PROFILE_MAP, code, 0) != 0, "%s", "a line before the first");
    put_field(code, interpreter.row.code_filename, none()); /* not a string: ignored */
    is_shown(shown(PROFILE_MAP, code, 0), "py::f:");
    child_check(pending_type() == NULL && *reports() == '\0', "%s", reports());
}

/* Under the profile's lock no object is made, and a pending exception stays. */
TEST_BY(for_each_version, makes_no_object)
{
    start();
    python_object *code = new_code("app.py", "f", "f", 1);
    long before = live_objects(), references_before = references(code);
    trampolines_find(PROFILE_MAP, code, 0);
    child_check(live_objects() == before && references(code) == references_before, "%ld",
                live_objects() - before);
}

/* No trampoline now, because of a transient error; none ever, because all images are full. */
TEST_IN_CHILD(none_ever)
{
    version = versions[3];
    start();
    python_object *code = new_code("app.py", "f", "f", 1);
    for (uint32_t i = 0; i < REGISTRY_IMAGES; i++) {
        add_function(PROFILE_MAP, i);
        registry_forked();
    }
    child_check(trampolines_find(PROFILE_MAP, code, 0) == UINTPTR_MAX, "%s", reports());
    child_check(trampolines_find(PROFILE_MAP, code, 0) == UINTPTR_MAX, "%s", reports());
    child_check(count_reports() == 1, "%s", reports());
}

TEST_IN_CHILD(none_now)
{
    version = versions[3];
    child_skip_under_valgrind();
    start();
    python_object *code = new_code("app.py", "f", "f", 1);
    limit_address_space(64 << 20);
    uintptr_t address = trampolines_find(PROFILE_MAP, code, 0);
    limit_address_space(0);
    child_check(address == 0, "%#lx", address);
    let_seconds_pass(3);
    is_shown(shown(PROFILE_MAP, code, 0), "py::f:app.py");
    child_check(count_reports() == 1, "%s", reports());
}
