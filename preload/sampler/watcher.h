/* watcher.h - the process that samples the threads that wait.
 *
 *     program                       watcher: a process in the same memory (CLONE_VM)
 *       thread 1   runs               each period: /proc/PROGRAM/task
 *       thread 2   in recv                thread 2 waits, at this pc and stack pointer --> sample
 *       thread 3   wants the lock         thread 3 waits for the interpreter's lock    --> sample
 *
 * A signal to a thread that waits would make its system call fail (EINTR), so nothing is sent. It
 * is no thread of the program: from 3.12 on os.fork warns of threads, by their number in /proc, and
 * memory that was freed while the watcher reads it would end the program; so it has signal handlers
 * of its own. It has no descriptors of the program, no libc, and blocks all signals. wait(2) does
 * not see it: its exit sends no signal (wait(2), __WCLONE).
 *
 * It ends by itself when the program has ended, has called exec, or has other user ids. */
#ifndef PYPERF_WATCHER_H
#define PYPERF_WATCHER_H

#include <stdbool.h>
#include <stdint.h>

#include "trampoline/base/failure.h"

/* What the watcher does. All in the watcher; raw system calls alone. */
struct watcher_task {
    uint64_t period;                 /* nanoseconds */
    bool (*begin)(uint32_t process); /* false, with errno: it may not, and ends */
    void (*look)(void);              /* once each period, as far as there is time */
    void (*give_up)(void);           /* `look` was left for good, because of memory that is gone */
    void (*end)(void); /* the program has ended, or is another one: nobody else is left to do it */
};

/* Starts it. False with `why`. */
bool watcher_start(const struct watcher_task *task, struct failure *why);

/* Starts it again if it has ended, or this is a forked child: `now` is CLOCK_MONOTONIC. Not more
 * often than once a second. For signal handlers; changes errno. */
void watcher_look(uint64_t now);

/* Ends it, and waits for that. */
void watcher_stop(void);

/* In a forked child, which has none: watcher_look starts one. */
void watcher_forked(void);

/* In a child that is not sampled. */
void watcher_forget(void);

#endif
