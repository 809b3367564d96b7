/* thread_timers.h - a timer of its own CPU time for each thread, where one timer of the process
 * does not find the thread that runs (clock_timer.h).
 *
 * A thread's first signal comes after a random part of a period, so that threads that live for less
 * than a period have their share, too. Threads are armed as they begin (thread_start.h); those of C
 * libraries that are loaded later are found by looking at /proc/self/task from time to time, in
 * whatever thread is sampled.
 *
 * The kernel keeps the timer of a thread that has ended: it is deleted when the thread ends, or,
 * for those of C libraries, when it is found to be missing. */
#ifndef PYPERF_THREAD_TIMERS_H
#define PYPERF_THREAD_TIMERS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "trampoline/base/failure.h"

/* Arms the threads that there are. Under the interpreter's lock. False with `why`: no thread has a
 * timer. */
bool thread_timers_start(int signal_number, uint64_t period, struct failure *why);

/* Deletes all timers; threads that begin from now on have none. */
void thread_timers_stop(void);

/* In a forked child: only its one thread is armed. */
void thread_timers_forked(void);

/* In a child that is not sampled. */
void thread_timers_forget(void);

/* Whether a signal is of one of these timers. */
bool thread_timers_is(const siginfo_t *info);

/* Looks for threads, if that was not done shortly before `now` (CLOCK_MONOTONIC). For signal
 * handlers; changes errno. */
void thread_timers_look(uint64_t now);

/* Sets the time between two signals of each thread. For signal handlers; changes errno. */
void thread_timers_set(uint64_t interval);

#endif
