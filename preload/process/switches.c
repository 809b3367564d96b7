#include "preload/process/switches.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "preload/cpython/native_support.h"

bool switches_value_is_on(const char *value)
{
    if (value == NULL || *value == '\0')
        return false;
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    return *end == '\0' && errno == 0 && number >= INT_MIN && number <= INT_MAX && number != 0;
}

static bool map_in_environment(void)
{
    return switches_value_is_on(getenv("PYTHONPERFSUPPORT"));
}

static bool jitdump_in_environment(void)
{
    return switches_value_is_on(getenv("PYTHON_PERF_JIT_SUPPORT"));
}

bool switches_in_environment(void)
{
    return map_in_environment() || jitdump_in_environment();
}

/* The import system's own code objects are called "<frozen importlib._bootstrap>" and the like.
 * They run before the options are in sys. */
static bool is_frozen(const void *frame)
{
    static const char frozen[] = "<frozen ";
    python_object *code = python_frame_code(frame);
    const char *file = python_ascii(python_field(code, python.layout->code_filename));
    return file != NULL && strncmp(file, frozen, sizeof frozen - 1) == 0;
}

enum switches switches_read(const void *frame)
{
    python_object *options = python.PySys_GetObject("_xoptions");
    if (options == NULL && is_frozen(frame))
        return SWITCHES_UNDECIDED;
    bool environment = *python.Py_IgnoreEnvironmentFlag == 0;
    bool perf = options != NULL && python.PyDict_GetItemString(options, "perf") != NULL;
    bool perf_jit = options != NULL && python.PyDict_GetItemString(options, "perf_jit") != NULL;
    bool map = perf || (environment && map_in_environment());
    bool jitdump = perf_jit || (environment && jitdump_in_environment());
    /* The configuration of an interpreter that has the switches itself, maybe set by a program. */
    int own = native_support_read();
    map = map || own == 1;
    jitdump = jitdump || own == 2;
    return jitdump ? SWITCHES_JITDUMP : map ? SWITCHES_MAP : SWITCHES_OFF;
}
