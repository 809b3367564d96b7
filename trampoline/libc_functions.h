/* libc_functions.h - the functions of a libc that are not in each one's libc.so.6.
 *
 * libpyperf.so is made to start in every process: glibc from 2.17 on, and musl. What it links to is
 * in trampoline/libc.symbols, and nothing else (scripts/dev/libc-stub). The following functions are in libdl
 * or libpthread before glibc 2.34, or elsewhere in musl, and a program may load these late and for
 * itself alone (RTLD_LOCAL). A reference that nothing fulfils ends the program at its start, a weak
 * one with a version too (glibc 2.17: "not defined in file libc.so.6 with link time reference"). So
 * libc_functions.c defines each of them under its own name, for this library alone, and passes the
 * call on to the one in the process:
 *
 *     dlopen dlsym dlclose dlerror dlinfo
 *     pthread_getattr_np pthread_attr_getstack pthread_key_create pthread_setspecific
 *     pthread_atfork
 *
 * Where the process has none, the call fails as the function may fail. */
#ifndef PYPERF_LIBC_FUNCTIONS_H
#define PYPERF_LIBC_FUNCTIONS_H

/* Looks for them all, unless they have been found. The first call of each does so, too; but in a
 * forked child another thread may have left the loader's lock locked, which the search takes. */
void libc_functions_find(void);

#endif
