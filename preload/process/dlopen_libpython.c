#include "preload/process/dlopen_libpython.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/auxv.h>

#include "preload/cpython/python.h"
#include "preload/process/lifecycle.h"

static char *(*next)(int, const char *); /* libc's setlocale */
static bool looking;

static void find_next(void)
{
    __atomic_store_n(&next, (char *(*)(int, const char *))dlsym(RTLD_NEXT, "setlocale"),
                     __ATOMIC_RELAXED);
}

void dlopen_libpython_start(bool look)
{
    find_next();
    looking = look;
}

static void look_at(const void *caller)
{
    int saved = errno;
    /* AT_SECURE: see main.c. */
    if (python_arrives(caller) && getauxval(AT_SECURE) == 0 &&
        __atomic_exchange_n(&looking, false, __ATOMIC_RELAXED))
        lifecycle_start();
    errno = saved;
}

__attribute__((visibility("default"))) char *setlocale(int category, const char *locale)
{
    if (__atomic_load_n(&next, __ATOMIC_RELAXED) == NULL)
        find_next(); /* another library's constructor, before ours */
    if (__atomic_load_n(&looking, __ATOMIC_RELAXED))
        look_at(__builtin_return_address(0));
    return next(category, locale);
}
