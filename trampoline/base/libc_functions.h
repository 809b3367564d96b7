/* libc_functions.h - the functions of a libc that are not in each one's libc.so.6.
 *
 * libpyperf.so is made to start in every process: glibc from 2.17 on, and musl. It links to what
 * trampoline/libc.symbols lists, and to nothing else (scripts/dev/libc-stub). Those that
 * libc_functions.c lists are elsewhere in some libc: in libdl or libpthread before glibc 2.34,
 * under another name before 2.33, or nowhere. A program may load these libraries late and for
 * itself alone (RTLD_LOCAL). A reference that nothing fulfils ends the program at its start, a
 * weak one with a version too (glibc 2.17: "not defined in file libc.so.6 with link time
 * reference"). So libc_functions.c defines each under its own name, for this object alone, and
 * passes the call on to the one in the process. Where the process has none, the call fails as the
 * function may fail. */
#ifndef PYPERF_LIBC_FUNCTIONS_H
#define PYPERF_LIBC_FUNCTIONS_H

#include <stdbool.h>

/* Looks for all that have not been found. Each is also looked for when it is first called; but in a
 * forked child another thread may have left the loader's lock locked, which the search takes. */
void libc_functions_find(void);

/* Whether this process's libc is musl: it has no gnu_get_libc_version. */
bool libc_is_musl(void);

#endif
