#include "preload/process/dlopen_libpython.h"

#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/auxv.h>

#include "preload/cpython/python.h"
#include "preload/cpython/static_python.h"
#include "preload/process/lifecycle.h"
#include "preload/process/plan_library.h"
#include "preload/process/switches.h"
#include "trampoline/base/next_symbol.h"
#include "trampoline/base/report.h"

static char *(*next)(int, const char *); /* libc's setlocale */
static bool looking;

static void find_next(void)
{
    __atomic_store_n(&next, (char *(*)(int, const char *))next_symbol("setlocale"),
                     __ATOMIC_RELAXED);
}

void dlopen_libpython_start(bool look)
{
    find_next();
    looking = look;
}

void dlopen_libpython_found(void)
{
    __atomic_store_n(&looking, false, __ATOMIC_RELAXED);
}

/* Every interpreter sets LC_CTYPE alone, which few other programs do: most set LC_ALL. Reports in
 * one line why it cannot be found. */
static bool python_is_inside(int category, const void *caller)
{
    struct failure why = {.code = FAILURE_NONE};
    bool asked = switches_in_environment() || getenv("PYPERF_TOGGLE_SIGNAL") != NULL;
    if (category != LC_CTYPE || !asked || !static_python_calls(caller))
        return false;
    if (static_python_find(caller, plan_library_look_into_files, &why))
        return true;
    report_failure("not profiling, unless by the interpreter's own support (3.12 and later)", &why);
    return false;
}

static void look_at(int category, const void *caller)
{
    int saved = errno;
    /* AT_SECURE: see main.c. */
    if (getauxval(AT_SECURE) == 0 &&
        (python_arrives(caller) || python_is_inside(category, caller)) &&
        __atomic_exchange_n(&looking, false, __ATOMIC_RELAXED))
        lifecycle_start();
    errno = saved;
}

__attribute__((visibility("default"))) char *setlocale(int category, const char *locale)
{
    if (__atomic_load_n(&next, __ATOMIC_RELAXED) == NULL)
        find_next(); /* another library's constructor, before ours */
    if (__atomic_load_n(&looking, __ATOMIC_RELAXED))
        look_at(category, __builtin_return_address(0));
    return next(category, locale);
}
