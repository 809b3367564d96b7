/* waiting.h - the threads that wait: what the watcher (watcher.h) finds out about them.
 *
 *     /proc/PROGRAM/task/TID/schedstat   how often the thread was given a CPU, and times
 *     /proc/PROGRAM/task/TID/syscall     "running", or the system call, stack pointer and pc
 *
 *     count   syscall   stack: frames of machine code and of Python   count again
 *       |_______________________________________________________________|
 *              the same: the thread has not run meanwhile, and all that was read belongs together
 *
 * How long a thread has run, and has waited for a CPU, is in schedstat: the rest of the time it has
 * waited for something else, and that is what its stack stands for. As long as the count stays the
 * same, the thread waits where it did, and only time is added: one that sleeps for an hour costs
 * one small read for each period, and four samples a second. */
#ifndef PYPERF_WAITING_H
#define PYPERF_WAITING_H

#include <stdbool.h>
#include <stdint.h>

/* In the watcher, before the rest; `period` in nanoseconds. False, with errno, if this process may
 * not look at the program's threads. */
bool waiting_begin(uint32_t process, uint64_t period);

/* Looks at all threads. */
void waiting_look(void);

/* A look was left in its middle: the next one reads that thread anew. */
void waiting_give_up(void);

/* Stores what is not yet stored: in the watcher, when the program is no more; in the program, after
 * the watcher has ended. */
void waiting_end(void);
void waiting_finish(void);

#endif
