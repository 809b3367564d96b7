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
 * of its own. It closes the program's descriptors, and blocks all signals. wait(2) does not see it:
 * its exit sends no signal (__WCLONE), but for a program that waits with __WALL.
 *
 * It ends before the program calls _exit or exec (process_end.h). It ends by itself, within 20
 * milliseconds, when the program was killed or has called exec by itself, and within 100 when the
 * program has other rights than it had (rights.h). Then the process that inherits orphans has one
 * more to wait for. It uses a fiftieth of a
 * CPU: of many threads it looks less often, but once a second. */
#ifndef PYPERF_WATCHER_H
#define PYPERF_WATCHER_H

#include <stdbool.h>
#include <stdint.h>

#include "trampoline/base/failure.h"

/* The work of the watcher, in the watcher: by system calls alone. `end` may be called in the program,
 * too, after the watcher has ended. */
struct watcher_task {
    uint64_t period;                 /* nanoseconds */
    bool (*begin)(uint32_t process); /* false, with errno: it may not, and ends */
    void (*look)(void);              /* once each period, as far as there is time */
    void (*give_up)(void);           /* `look` was left for good, because of memory that is gone */
    void (*end)(void); /* the program has ended, or is another one: nobody else is left to do it */
};

/* Starts it. False with `why`. */
bool watcher_start(const struct watcher_task *task, struct failure *why);

/* Starts it again if it has ended, or this is a forked child, unless the program has other rights
 * than it had at watcher_start. `now` is CLOCK_MONOTONIC; not more often than once a second. For
 * signal handlers; changes errno. */
void watcher_look(uint64_t now);

/* Ends it, and waits for that. */
void watcher_stop(void);

/* The same for a program that is about to end or to call exec; if it does not, watcher_look starts it
 * again. In a child that has no watcher of its own, or shares its parent's memory: nothing. */
void watcher_pause(void);

/* In a forked child, which has none: watcher_look starts one. */
void watcher_forked(void);

/* In a child that is not sampled. */
void watcher_forget(void);

#endif
