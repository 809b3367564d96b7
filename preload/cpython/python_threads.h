/* python_threads.h - the interpreter's threads, as others see them: a signal handler, which may
 * call nothing that takes a lock, and the watcher (watcher.h), which is no thread of the
 * interpreter.
 *
 *     interpreter --> thread state --> thread state --> ...      .next
 *          |              | .thread_id: what pthread_self returned, the address of the libc's record
 *          v              v
 *     interpreter      the libc's record: the thread's number (gettid) is at the same place in each
 *
 * The lists may change meanwhile. Whoever is no thread of the interpreter can meet memory that was
 * freed, and recovers from faults by itself. */
#ifndef PYPERF_PYTHON_THREADS_H
#define PYPERF_PYTHON_THREADS_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/python.h"

/* Before the others, in a thread of the interpreter that has its lock. */
void python_threads_start(void);

/* This thread's state; NULL: it has none. For signal handlers; changes errno. */
char *python_threads_own(void);

/* The state of the thread with that number; NULL: none was found. `known` is the last answer for
 * that thread, or NULL. For the watcher. */
char *python_threads_find(uint32_t thread, char *known);

/* Calls `visit` for each thread's state, with its number, of all interpreters that share this
 * thread's lock; this thread has it. */
typedef void python_threads_visitor(char *state, uint32_t thread, void *context);
void python_threads_visit(python_threads_visitor *visit, void *context);

/* Whether a thread has the interpreter's lock. */
bool python_threads_has_lock(const char *state);

/* Whether a thread that waits for the futex at `address` waits for the interpreter's lock. From 3
 * on; in 2.7 that lock looks like any other. */
bool python_threads_is_lock(const char *state, uintptr_t address);

/* Whether the address is in the object that has the interpreter. */
bool python_threads_is_code(uintptr_t address);

#endif
