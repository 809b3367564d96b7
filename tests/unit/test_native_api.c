/* test_native_api.c - CPython's own functions for the map begin with jumps to ours, all of them or
 * none, and are restored afterwards. */
#include <stdio.h>
#include <unistd.h>

#include "interpreter/detour.h"
#include "preload/process/native_api.h"
#include "preload/profile/outputs.h"
#include "trampoline/code_memory.h"
#include "trampoline/near_memory.h"
#include "trampoline/plan/elf_lookup.h"

/* Called by addresses, because the compiler knows what they return. */
static int (*volatile map_init)(void) = PyUnstable_PerfMapState_Init;
static int (*volatile write_entry)(const void *, unsigned,
                                   const char *) = PyUnstable_WritePerfMapEntry;
static void (*volatile map_fini)(void) = PyUnstable_PerfMapState_Fini;
static int (*volatile copy_map)(const char *) = PyUnstable_CopyPerfMapFile;
static int (*volatile compile)(python_object *) = PyUnstable_PerfTrampoline_CompileCode;
static int (*volatile persist)(int) = PyUnstable_PerfTrampoline_SetPersistAfterFork;

static char as_they_were[PYTHON_NATIVE_API_COUNT][16];

static void remember(void)
{
    for (int i = 0; i < PYTHON_NATIVE_API_COUNT; i++)
        if (python.native_api[i].entry != 0)
            memcpy(as_they_were[i], (const void *)python.native_api[i].entry, 16);
}

/* How many of them have another entry now. */
static int count_replaced(void)
{
    int count = 0;
    for (int i = 0; i < PYTHON_NATIVE_API_COUNT; i++)
        if (python.native_api[i].entry != 0)
            count += memcmp(as_they_were[i], (const void *)python.native_api[i].entry, 16) != 0;
    return count;
}

static void plan(unsigned minor)
{
    struct failure why = {.what = ""};
    start_profile(3, minor, PROFILE_MAP);
    struct elf_symbol symbols[PYTHON_NATIVE_API_COUNT] = {
#define X(symbol, since) [PYTHON_NATIVE_##symbol] = {.name = #symbol},
        PYTHON_NATIVE_API(X)
#undef X
    };
    child_check(elf_lookup("/proc/self/exe", NULL, NULL, symbols, LENGTH_OF(symbols), &why), "%s",
                why.what);
    for (int i = 0; i < PYTHON_NATIVE_API_COUNT; i++)
        python.native_api[i].size = symbols[i].size;
    uintptr_t page = near_memory_reserve(python.evaluator, DETOUR_PAGE_SIZE, &why);
    uintptr_t targets[NATIVE_API_TARGETS] = {1};
    child_check(native_api_plan(detour_prepare_replacement, page, &why), "3.%u: %s", minor,
                why.what);
    child_check(detour_place(&detour, page, targets, native_api_targets(targets), &why), "%s",
                why.what);
    remember();
}

TEST_IN_CHILD(answered_by_ours)
{
    struct failure why = {.what = ""};
    plan(13);
    child_check(map_init() == -2 && interpreter.calls_of_native == 1, "%s", "ours already");
    child_check(native_api_replace(&why), "%s", why.what);
    child_check(count_replaced() == PYTHON_NATIVE_API_COUNT, "%d", count_replaced());
    child_check(map_init() == 0, "%d", map_init());
    child_check(write_entry((const void *)0x1234, 0x56, "jit::f") == 0, "%s", reports());
    child_check(write_entry((const void *)0x99, 0xfffffff0, "two\nlines") == 0, "%s", reports());
    map_fini();
    write_file(in_folder("other.map"), "7 8 copied\n", 11);
    child_check(copy_map(in_folder("other.map")) == 0, "%s", reports());
    child_check(copy_map(in_folder("none.map")) == -1, "%s", "what is not there");
    check_map(getpid(), "1234 56 jit::f\n99 fffffff0 two\n7 8 copied\n", NULL, 0);
    use_up_descriptors();
    usleep(100);
    char longest[5000];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    int result = write_entry((const void *)1, 1, longest);
    give_descriptors_back();
    child_check(result == -1, "%d", result);
    python_object *code = new_code("app.py", "f", "f", 1);
    child_check(compile(code) == 0, "%s", reports());
    uint32_t id = registry_next(PROFILE_MAP, REGISTRY_NONE);
    child_check(id != REGISTRY_NONE && strcmp(shown_name(id), "py::f:app.py") == 0, "%u", id);
    child_check(run(code) == id, "%u", id);
    child_check(persist(1) == 1 && persist(0) == 0, "%d", persist(0));
    child_check(interpreter.calls_of_native == 1, "%d", interpreter.calls_of_native);
    native_api_restore();
    child_check(count_replaced() == 0, "%d", count_replaced());
    child_check(persist(1) == 4712, "%d", persist(1));
}

static unsigned minor;

/* The functions that this version has. */
static void replace_what_is_there(void)
{
    struct failure why = {.what = ""};
    plan(minor);
    child_check(native_api_replace(&why), "%s", why.what);
    child_check(count_replaced() == (minor < 13 ? 3 : 6), "3.%u: %d", minor, count_replaced());
    native_api_restore();
    child_check(count_replaced() == 0, "3.%u: %d", minor, count_replaced());
}

TEST(those_that_are_there)
{
    for (minor = 12; minor <= 15; minor++) {
        assert_in_child(replace_what_is_there);
        clear_folder();
    }
}

/* If any of them cannot be replaced, none is. */
TEST_IN_CHILD(all_or_none)
{
    struct failure why = {.code = FAILURE_NONE};
    plan(13);
    for (int i = 0; i < PYTHON_NATIVE_API_COUNT; i++) {
        struct python_code code = python.native_api[i];
        struct detour_plan jump;
        child_check(detour_prepare_replacement(&jump, (const void *)code.entry, code.size,
                                               code.entry, code.entry, &why),
                    "%s", why.what);
        uintptr_t site = jump.site;
        uint8_t own = *(const uint8_t *)site, other = own ^ 1;
        code_memory_write(site, &other, 1);
        child_check(!native_api_replace(&why), "%d was replaced", i);
        child_check(why.code == FAILURE_TEXT_CHANGED, "%s", failure_message(why.code));
        child_check(count_replaced() == 1, "%d: %d", i, count_replaced());
        code_memory_write(site, &own, 1);
    }
    child_check(native_api_replace(&why) && count_replaced() == 6, "%s", why.what);
}

/* A function that is too short for a jump. */
TEST_IN_CHILD(too_short)
{
    struct failure why = {.code = FAILURE_NONE};
    plan(12);
    python.native_api[PYTHON_NATIVE_PyUnstable_PerfMapState_Fini].size = 4;
    child_check(!native_api_plan(detour_prepare_replacement, python.evaluator & -4096, &why), "%s",
                "it fits");
    child_check(why.code == FAILURE_TOO_SHORT, "%s", failure_message(why.code));
}
