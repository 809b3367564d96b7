/* sampler.h - samples this process from inside: no perf, no ptrace, no privileges.
 *
 *      timer of the process's CPU time
 *        | SIGURG, to a thread that runs
 *        v
 *      signal handler, in that thread
 *        unwind_walk            frames of machine code, by .eh_frame          trampoline/unwind
 *        python_frames_read     Python functions, and where in them           preload/cpython
 *        |    merged: each function before the frame of its evaluator
 *        v
 *      sample_tree, sample_file   pyperf-PID-XXXXXX.samples, a mapped file    preload/sampler
 *
 * It needs neither the detour nor trampolines: a call costs nothing, and functions that were running before have
 * their names. Off, there is no timer, handler or file.
 *
 * SIGURG, because the default is to ignore it: one that arrives late, after a stop or an exec, does nothing. The handler
 * takes no lock, allocates nothing, and tests what it reads. The signal is not blocked while it runs (SA_NODEFER): the
 * kernel would give a blocked one to another thread and interrupt that one's system call (kernel/signal.c,
 * retarget_shared_pending). A second signal meanwhile finds the thread busy and is counted with the next sample. */
#ifndef PYPERF_SAMPLER_H
#define PYPERF_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "trampoline/base/failure.h"

/* Samples a second that PYPERF_SAMPLER asks for, 1 to 10,000; 0: none, and *wrong says whether it was a value that cannot be
 * used. */
unsigned sampler_wanted(const char *value, bool *wrong);

/* Starts sampling, into files in `directory`, which must stay valid. The interpreter's layout has been
 * confirmed. False with `why`: nothing has changed. Under the interpreter's lock, once. */
bool sampler_start(unsigned hz, const char *directory, struct failure *why);

/* Stops, and completes the file. */
void sampler_stop(void);

/* In a forked child, which has one thread and no timers: it samples into a file of its own, made at its first
 * sample. Keeps errno. */
void sampler_forked(void);

#endif
