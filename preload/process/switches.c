#include "preload/process/switches.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>

#include "preload/cpython/native_support.h"
#include "preload/cpython/python.h"

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

bool switches_read(const void *frame, enum profile_mode *mode)
{
    python_object *options = python.PySys_GetObject("_xoptions");
    /* The import system's own code objects are called "<frozen importlib._bootstrap>" and the like.
     * They run before the options are in sys. */
    if (options == NULL && python_frame_is_of(frame, "<frozen "))
        return false;
    bool environment = *python.Py_IgnoreEnvironmentFlag == 0;
    bool perf = options != NULL && python.PyDict_GetItemString(options, "perf") != NULL;
    bool perf_jit = options != NULL && python.PyDict_GetItemString(options, "perf_jit") != NULL;
    /* The configuration of an interpreter that has the switches itself, maybe set by a program. */
    int own = native_support_read();
    bool map = perf || (environment && map_in_environment()) || own == 1;
    bool jitdump = perf_jit || (environment && jitdump_in_environment()) || own == 2;
    *mode = jitdump ? PROFILE_JITDUMP : map ? PROFILE_MAP : PROFILE_OFF;
    return true;
}
