/* toggle.h - PYPERF_TOGGLE_SIGNAL: a signal that switches profiling on and off. */
#ifndef PYPERF_TOGGLE_H
#define PYPERF_TOGGLE_H

#include <stdbool.h>

#include "preload/cpython/python.h"

/* The number of the signal that a value names: a number, or USR1, USR2, RTMIN+n, RTMAX-n, with or
 * without SIG, in capitals or not. 0 when it names none, or one with another meaning: those that
 * the kernel, terminals, timers and service managers send. */
int toggle_signal(const char *value);

/* At start: reads the environment. If the interpreter uses its own support (python.h), or
 * interrupted system calls would fail in the program, or the value cannot be used, one line says
 * so, and there is no toggle. */
void toggle_start(bool left_alone, bool fails_calls);

/* Whether a toggle was requested: when it cannot be installed, the user is told, because the signal
 * would then end the program. */
bool toggle_is_wanted(void);

/* Whether the interpreter still waits for its handler. */
bool toggle_is_due(void);

/* In a frame that is about to run, while the toggle is due. Installs the handler if the interpreter
 * is ready, or says in one line why there is none; false while it is too early. Keeps the pending
 * exception. */
bool toggle_install(const void *frame);

/* The interpreter has ended and removed its handlers. */
void toggle_interpreter_ended(void);

#endif
