/* main.c - what the dynamic loader calls when libpyperf.so is preloaded.
 *
 * Most processes that inherit LD_PRELOAD are no Python at all: shells, compilers, ls. For them only
 * a symbol is looked up, and nothing is loaded. dlopen_libpython.h is for those that load Python
 * later. If an interpreter is running already, pyperf-attach has loaded the library, and its request
 * follows (attach.h). */
#include <sys/auxv.h>

#include "preload/cpython/python.h"
#include "preload/process/dlopen_libpython.h"
#include "preload/process/lifecycle.h"

__attribute__((constructor)) static void enter(void)
{
    dlopen_libpython_start(!python_is_here());
    /* AT_SECURE: set-user-ID and the like (ld.so(8)); such a process is not changed. */
    if (python_is_here() && !python_has_started() && getauxval(AT_SECURE) == 0)
        lifecycle_start();
}

__attribute__((destructor)) static void leave(void)
{
    lifecycle_finish();
}
