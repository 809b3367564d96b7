/* clock_timer.h - a signal for each period of CPU time that this process uses.
 *
 * From Linux 6.4 on the signal of a timer of the process's CPU time goes to the thread that runs
 * (kernel/signal.c, complete_signal; posix-timers: prefer current), so one timer samples all
 * threads, and those that live for less than a period in their share. Before, it goes to the main
 * thread, and may interrupt a system call there: so each thread has a timer of its own
 * (thread_timers.h).
 *
 * Timers are the kernel's, made by system calls: glibc's functions are in librt before 2.34. A
 * forked child has none of its parent's, and exec deletes them. */
#ifndef PYPERF_CLOCK_TIMER_H
#define PYPERF_CLOCK_TIMER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "trampoline/base/failure.h"

/* Starts the timer; `by_thread`: one for each thread, also where the kernel does not need it. Under
 * the interpreter's lock. False with `why`. */
bool clock_timer_start(int signal_number, uint64_t period, bool by_thread, struct failure *why);

void clock_timer_stop(void);

/* In a forked child, which has none: starts its own. */
void clock_timer_forked(void);

/* In a child that is not sampled, and has none. */
void clock_timer_forget(void);

/* Whether a signal is one of ours, and how many periods it stands for. */
bool clock_timer_is(const siginfo_t *info);
uint32_t clock_timer_weight(const siginfo_t *info);

/* To be called with each signal: looks for threads. For signal handlers; changes errno. */
void clock_timer_look(uint64_t now);

/* Doubles the time between signals, and so their weight. For signal handlers; changes errno. */
void clock_timer_slow_down(void);

#endif
