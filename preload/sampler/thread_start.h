/* thread_start.h - is told of each thread as it begins and ends: of the interpreter's, and of those
 * of all objects that are mapped when sampling begins. A server's own threads (Apache's) may be the
 * only ones that run.
 *
 * The objects' pointers to pthread_create (elf_got.h) lead to our own function, which calls the
 * libc's with a function of ours in front of the thread's. A symbol of that name in libpyperf.so
 * would do the same, but for all programs, and before glibc 2.34 some look for it to find out
 * whether there are threads. */
#ifndef PYPERF_THREAD_START_H
#define PYPERF_THREAD_START_H

#include <stdbool.h>

#include "trampoline/base/failure.h"

/* Calls `changed` in each new thread, when it begins and when it ends. False with `why`, and
 * nothing has changed, if that cannot be done. Under the interpreter's lock; takes the loader's. */
bool thread_start_watch(void (*changed)(bool begins), struct failure *why);

/* Threads that have begun still call `changed` at their end. The pointers stay ours. */
void thread_start_leave(void);

#endif
