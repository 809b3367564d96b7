/* test_lifecycle.c - a process from the constructor to its end: the real detour on the evaluator of
 * a small interpreter, planned by the real libpyperf-plan.so, which is beside this program. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "interpreter/detour.h"
#include "interpreter/process.h"
#include "preload/process/lifecycle.h"

/* Starts the process up to its constructor; then 2.7's type gets its members. */
static void start_process(void)
{
    process_load();
    setenv("PYPERF_DIR", folder, 0);
    errno = EXFULL;
    lifecycle_start();
    child_check(errno == EXFULL, "%s", strerror(errno));
    process_run();
}

static bool is_named(const char *file, const char *name)
{
    python_object *code = new_code(file, name, name, 1);
    uint32_t id = run(code);
    char expected[64];
    snprintf(expected, sizeof expected, "py::%s:%s", name, file);
    return id != REGISTRY_NONE && strcmp(shown_name(id), expected) == 0;
}

static void import_frozen(void)
{
    child_check(!is_named("<frozen importlib._bootstrap>", "_install"), "%s", "too early");
}

static void give_options(const char *option)
{
    python_object *options = PyDict_New();
    if (option != NULL)
        dictionary_set(options, option, none());
    PySys_SetObject("_xoptions", options);
}

TEST_BY(for_each_version, off)
{
    unsetenv("PYTHONPERFSUPPORT");
    start_process();
    child_check(!process_text_is_own(), "%s", "no jump for the first frame");
    for (int i = 0; i < 3; i++)
        import_frozen();
    child_check(!process_text_is_own(), "%s", "decided too early");
    give_options(NULL);
    child_check(!is_named("app.py", "main") && process_text_is_own(), "%s", "it is on");
    int before = slow_ways;
    is_named("app.py", "f");
    child_check(slow_ways == before, "%d", slow_ways - before);
    child_check(PySys_GetObject("activate_stack_trampoline") != NULL, "%s", "no function");
    child_check(interpreter.at_exit_count == 1, "%d", interpreter.at_exit_count);
    interpreter.at_exit[0]();
    child_check(process_text_is_own(), "%s",
                "a python3 that is off makes no system call at its end");
    lifecycle_finish();
    child_check(count_files("*") == 1 && *reports() == '\0', "%s", reports());
}

/* For each switch: the mode, and the files written. */
static const struct switched {
    const char *variable, *option;
    int native;
    bool ignores;
    enum profile_mode expected;
} switches[] = {
    {NULL, "perf", 0, false, PROFILE_MAP},
    {NULL, "perf_jit", 0, false, PROFILE_JITDUMP},
    {NULL, "other", 0, false, PROFILE_OFF},
    {"PYTHONPERFSUPPORT", NULL, 0, false, PROFILE_MAP},
    {"PYTHONPERFSUPPORT", "perf_jit", 0, false, PROFILE_JITDUMP},
    {"PYTHON_PERF_JIT_SUPPORT", NULL, 0, false, PROFILE_JITDUMP},
    {"PYTHONPERFSUPPORT", NULL, 0, true, PROFILE_OFF},
    {"PYTHONPERFSUPPORT", "perf", 0, true, PROFILE_MAP},
    {NULL, NULL, 1, false, PROFILE_MAP},
    {NULL, NULL, 2, false, PROFILE_JITDUMP},
};
static const struct switched *chosen;

static void be_switched(void)
{
    bool has_native = version.major == 3 && version.minor >= 12;
    enum profile_mode expected =
        chosen->native != 0 && !has_native ? PROFILE_OFF : chosen->expected;
    start_process();
    Py_IgnoreEnvironmentFlag = chosen->ignores;
    interpreter.main->config[40] = (char)chosen->native;
    give_options(chosen->option);
    bool named = is_named("app.py", "main"); /* the first frame itself */
    child_check(profile_mode() == expected, "%u.%u: %d", version.major, version.minor,
                profile_mode());
    child_check(named == (expected != PROFILE_OFF) && process_text_is_own() == !named, "%d", named);
    child_check(count_files("perf-*") == (expected == PROFILE_MAP), "%s", "map");
    child_check(count_files("jit-*") == (expected == PROFILE_JITDUMP), "%s", "dump");
    if (has_native && chosen->native != 0) { /* cleared until the interpreter has passed it */
        child_check(interpreter.main->config[40] == 0, "%s", "the interpreter's own comes, too");
        PyImport_AddModule("io");
        is_named("app.py", "next");
        child_check(interpreter.main->config[40] == chosen->native, "%s", "it is not given back");
    }
    lifecycle_finish();
    child_check(*reports() == '\0', "%s", reports());
}

TEST(switched_on)
{
    for (size_t i = 0; i < LENGTH_OF(switches); i++) {
        chosen = &switches[i];
        unsetenv("PYTHONPERFSUPPORT");
        unsetenv("PYTHON_PERF_JIT_SUPPORT");
        if (chosen->variable != NULL)
            setenv(chosen->variable, "1", 1);
        for_each_version(be_switched);
    }
}

/* An interpreter ends and another one starts: each obeys its own switches, and registered functions
 * stay. */
TEST_BY(for_each_version, interpreters_in_turn)
{
    unsetenv("PYTHONPERFSUPPORT");
    unsetenv("PYTHON_PERF_JIT_SUPPORT");
    start_process();
    interpreter.argc = 0; /* embedded: the program may start another one */
    give_options("perf");
    child_check(is_named("app.py", "main"), "%s", reports());
    uint32_t id = run(new_code("app.py", "main", "main", 1));
    for (int round = 0; round < 6; round++) {
        bool is_on = round % 2 == 1;
        child_check(interpreter.at_exit_count == 1, "%d", interpreter.at_exit_count);
        interpreter.at_exit_count = 0;
        interpreter.at_exit[0]();
        child_check(!process_text_is_own() && profile_mode() == PROFILE_OFF, "round %d", round);
        interpreter.main->extra_users = 0;
        interpreter.main->evaluator = NULL;
        PyDict_DelItemString(interpreter.main->sys, "_xoptions");
        import_frozen();
        give_options(is_on ? "perf" : NULL);
        child_check((run(new_code("app.py", "main", "main", 1)) == id) == is_on, "round %d", round);
        child_check(process_text_is_own() == !is_on, "round %d", round);
    }
    child_check(count_images(getpid()) == 1 && *reports() == '\0', "%s", reports());
}

/* The interpreter's layout differs from its row: the text is restored. */
static void be_refused(void)
{
    int calls = interpreter.calls_of_native;
    start_process();
    interpreter.row.code_name += 8;
    interpreter.row.code_filename += 8;
    child_check(!is_named("app.py", "main") && process_text_is_own(), "%s", "it is profiled");
    child_check(!is_named("app.py", "f") && profile_mode() == PROFILE_OFF, "%s", "it is profiled");
    bool asked = getenv("PYTHONPERFSUPPORT") != NULL;
    child_check(count_reports() == asked, "%s", reports());
    if (asked)
        child_check(strstr(reports(), "not laid out as this version's should be: co_filename") !=
                        NULL,
                    "%s", reports());
    child_check(count_files("*") == 1, "%s", "a file is left");
    (*(void (*volatile *)(void)) & (void (*)(void)){PyUnstable_PerfMapState_Fini})();
    child_check(interpreter.calls_of_native == calls + 1, "%s", "its own functions are not back");
}

TEST(refused_at_the_first_frame)
{
    unsetenv("PYTHONPERFSUPPORT");
    for_each_version(be_refused);
    setenv("PYTHONPERFSUPPORT", "1", 1);
    for_each_version(be_refused);
}

static void be_unknown(void)
{
    version = (struct version){3, 5};
    process_load();
    lifecycle_start();
    child_check(process_text_is_own(), "%s", "there is a jump");
    bool asked = getenv("PYTHONPERFSUPPORT") != NULL;
    child_check(count_reports() == asked, "%s", reports());
    if (asked)
        child_check(strcmp(reports(),
                           "libpyperf: not profiling: this version of Python is not known: "
                           "3.5.7\n") == 0,
                    "%s", reports());
    lifecycle_finish();
}

TEST(unknown_version)
{
    unsetenv("PYTHONPERFSUPPORT");
    assert_in_child(be_unknown);
    clear_folder();
    setenv("PYTHONPERFSUPPORT", "1", 1);
    assert_in_child(be_unknown);
}

/* The directory is gone when the first image is made: names are in the map, and a line is
 * reported. */
TEST_IN_CHILD(without_a_directory)
{
    unsetenv("PYTHONPERFSUPPORT");
    version = (struct version){3, 8};
    setenv("PYPERF_DIR", "/proc/none", 1);
    start_process();
    give_options("perf");
    child_check(is_named("app.py", "main") && is_named("app.py", "f"), "%s", reports());
    child_check(count_reports() == 1, "%s", reports());
    child_check(strstr(reports(), "/proc/none/pyperf-") != NULL, "%s", reports());
}

int main(void)
{
    process_move_to_plan_library();
    return run_tests(NULL, NULL, TEST_SECONDS);
}
