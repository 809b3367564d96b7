/* test_switches.c - CPython's rules for its perf switches: the meaning of values, and their
 * precedence. */
#include <stdlib.h>
#include <string.h>

#include "preload/cpython/python.h"
#include "preload/process/switches.h"
#include "support/support.h"

/* CPython 3.12, Python/initconfig.c, config_read_env_vars and _Py_str_to_int. */
static const struct value {
    const char *value;
    bool is_on;
} values[] = {
    {"1", true},
    {"2", true},
    {"-1", true},
    {"+1", true},
    {" 1", true},
    {"\t\n1", true},
    {"007", true},
    {"2147483647", true},
    {"-2147483648", true},
    {NULL, false},
    {"", false},
    {" ", false},
    {"0", false},
    {"00", false},
    {"-0", false},
    {"+0", false},
    {"abc", false},
    {"1x", false},
    {"x1", false},
    {"1 ", false},
    {"1\n", false},
    {"0x1", false},
    {"1.0", false},
    {"1e3", false},
    {"- 1", false},
    {"--1", false},
    {"true", false},
    {"2147483648", false},
    {"-2147483649", false},
    {"4294967297", false}, /* is 1 in 32 bits */
    {"9223372036854775807", false},
    {"9223372036854775808", false},
    {"18446744073709551617", false}, /* is 1 in 64 bits */
    {"99999999999999999999999999", false},
};

TEST(reads_values_as_cpython_does)
{
    for (size_t i = 0; i < LENGTH_OF(values); i++) {
        errno = EXFULL; /* must not be taken for an error of strtol */
        ck_assert_msg(switches_value_is_on(values[i].value) == values[i].is_on,
                      "\"%s\" is %s, expected %s", values[i].value, values[i].is_on ? "off" : "on",
                      values[i].is_on ? "on" : "off");
    }
}

static void set(const char *name, const char *value)
{
    if (value == NULL)
        unsetenv(name);
    else
        setenv(name, value, 1);
}

/* An interpreter's answers. */
static int ignores_environment;
static const char *const *options; /* of -X, up to NULL; NULL while there are none in sys */

static python_object *get_system_object(const char *name)
{
    ck_assert_str_eq(name, "_xoptions");
    return (python_object *)options;
}

static python_object *get_item(python_object *dictionary, const char *key)
{
    ck_assert_ptr_eq(dictionary, options);
    for (const char *const *option = options; *option != NULL; option++)
        if (strcmp(*option, key) == 0)
            return dictionary;
    return NULL;
}

static int32_t configuration[64];

static void *get_configuration(void)
{
    return configuration;
}

static void become(unsigned minor)
{
    python = (struct python){
        ._Py_GetConfig = get_configuration,
        .PySys_GetObject = get_system_object,
        .PyDict_GetItemString = get_item,
        .Py_IgnoreEnvironmentFlag = &ignores_environment,
        .layout = layout_find(3, minor),
    };
    ck_assert_ptr_nonnull(python.layout);
}

/* A frame whose code object comes from this file. */
static const void *frame_of(const char *file, bool is_ascii)
{
    static char string[256], *code[64], *frame[32];
    strcpy(string + python.layout->unicode_ascii_data, file);
    string[UNICODE_STATE] = is_ascii ? (char)python.layout->unicode_ascii_state : 0;
    code[python.layout->code_filename / 8] = string;
    frame[python.layout->frame_code / 8] = (char *)code;
    return frame;
}

enum { UNDECIDED = -1 };

#define FROZEN "<frozen importlib._bootstrap>"
#define NONE   ((const char *const[]){NULL})
#define X(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct situation {
    const char *map, *jitdump; /* PYTHONPERFSUPPORT, PYTHON_PERF_JIT_SUPPORT */
    const char *const *options;
    int ignores_environment; /* -E, -I */
    const char *file;
    int expected;
} situations[] = {
    /* preload/process/switches.h; a row for each pair of switches */
    {NULL, NULL, NONE, 0, "a.py", PROFILE_OFF},
    {"1", NULL, NONE, 0, "a.py", PROFILE_MAP},
    {"0", NULL, NONE, 0, "a.py", PROFILE_OFF},
    {"1", NULL, NONE, 1, "a.py", PROFILE_OFF},
    {"1", NULL, NONE, 2, "a.py", PROFILE_OFF},
    {NULL, "1", NONE, 0, "a.py", PROFILE_JITDUMP},
    {NULL, "0", NONE, 0, "a.py", PROFILE_OFF},
    {NULL, "1 ", NONE, 0, "a.py", PROFILE_OFF},
    {NULL, "1", NONE, 1, "a.py", PROFILE_OFF},
    {"1", "1", NONE, 0, "a.py", PROFILE_JITDUMP},
    {"1", "0", NONE, 0, "a.py", PROFILE_MAP},
    {"0", "1", NONE, 0, "a.py", PROFILE_JITDUMP},
    {"1", "1", NONE, 1, "a.py", PROFILE_OFF},
    {NULL, NULL, X("perf"), 0, "a.py", PROFILE_MAP},
    {"0", NULL, X("perf"), 0, "a.py", PROFILE_MAP},
    {NULL, "0", X("perf"), 0, "a.py", PROFILE_MAP},
    {NULL, "1", X("perf"), 0, "a.py", PROFILE_JITDUMP},
    {NULL, "1", X("perf"), 1, "a.py", PROFILE_MAP},
    {NULL, NULL, X("perf_jit"), 0, "a.py", PROFILE_JITDUMP},
    {"1", "0", X("perf_jit"), 0, "a.py", PROFILE_JITDUMP},
    {NULL, NULL, X("perf_jit"), 1, "a.py", PROFILE_JITDUMP},
    {NULL, NULL, X("perf", "perf_jit"), 0, "a.py", PROFILE_JITDUMP},
    {NULL, NULL, X("perfx"), 0, "a.py", PROFILE_OFF},
    {"1", NULL, X("dev", "utf8"), 0, "a.py", PROFILE_MAP},
    /* before sys has the options */
    {"1", "1", NULL, 0, FROZEN, UNDECIDED},
    {NULL, NULL, NULL, 0, FROZEN, UNDECIDED},
    {"1", NULL, NULL, 1, FROZEN, UNDECIDED},
    {"1", NULL, NULL, 0, "a.py", PROFILE_MAP},
    {NULL, NULL, NULL, 0, "a.py", PROFILE_OFF},
    {NULL, NULL, NULL, 0, "<frozen", PROFILE_OFF},
    {NULL, NULL, X("perf"), 0, FROZEN, PROFILE_MAP},
    {NULL, NULL, NONE, 0, FROZEN, PROFILE_OFF},
};

/* The mode of the frame, or UNDECIDED. */
static int read_for(const void *frame)
{
    enum profile_mode mode = PROFILE_MODES;
    return switches_read(frame, &mode) ? (int)mode : UNDECIDED;
}

static int read_in(const struct situation *now)
{
    set("PYTHONPERFSUPPORT", now->map);
    set("PYTHON_PERF_JIT_SUPPORT", now->jitdump);
    options = now->options;
    ignores_environment = now->ignores_environment;
    return read_for(frame_of(now->file, true));
}

static const char *name_of(int mode)
{
    return mode == UNDECIDED ? "undecided" : profile_mode_name((enum profile_mode)mode);
}

TEST(who_beats_whom)
{
    static const unsigned minors[] = {6, 9, 11};
    for (size_t i = 0; i < LENGTH_OF(minors); i++) {
        become(minors[i]);
        for (size_t j = 0; j < LENGTH_OF(situations); j++) {
            int found = read_in(&situations[j]);
            ck_assert_msg(found == situations[j].expected, "3.%u, row %zu: %s, expected %s",
                          minors[i], j, name_of(found), name_of(situations[j].expected));
        }
    }
}

/* A program may have configured an interpreter that has the switches itself: the higher of the two
 * counts. */
TEST(beside_an_own_switch)
{
    static const int own[] = {PROFILE_OFF, PROFILE_MAP, PROFILE_JITDUMP, PROFILE_OFF};
    become(12);
    ck_assert(python.layout->has_native_support);
    for (size_t i = 0; i < LENGTH_OF(situations) * LENGTH_OF(own); i++) {
        const struct situation *now = &situations[i / LENGTH_OF(own)];
        int expected = now->expected;
        configuration[python.layout->config_perf_profiling / 4] = (int32_t)(i % LENGTH_OF(own));
        if (expected != UNDECIDED && expected < own[i % LENGTH_OF(own)])
            expected = own[i % LENGTH_OF(own)];
        int found = read_in(now);
        ck_assert_msg(found == expected, "row %zu: %s, expected %s", i, name_of(found),
                      name_of(expected));
    }
}

TEST(file_names_that_are_not_ascii)
{
    become(9);
    set("PYTHONPERFSUPPORT", "1");
    set("PYTHON_PERF_JIT_SUPPORT", NULL);
    options = NULL;
    ck_assert_int_eq(read_for(frame_of(FROZEN, true)), UNDECIDED);
    ck_assert_int_eq(read_for(frame_of(FROZEN, false)), PROFILE_MAP);
}

TEST(values_in_the_environment)
{
    static const char *const variables[] = {"PYTHONPERFSUPPORT", "PYTHON_PERF_JIT_SUPPORT"};
    for (size_t i = 0; i < LENGTH_OF(variables); i++) {
        set(variables[1 - i], NULL);
        for (size_t j = 0; j < LENGTH_OF(values); j++) {
            set(variables[i], values[j].value);
            ck_assert_msg(switches_in_environment() == values[j].is_on, "%s=%s", variables[i],
                          values[j].value);
        }
    }
}
