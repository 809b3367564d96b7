/* sampler.h - samples this process from inside: no perf, no ptrace, no privileges.
 *
 *      timer of the process's CPU time
 *        | SIGURG, to a thread that runs
 *        v
 *      signal handler, in that thread
 *        rotation_open          the file, or after its time the next one       preload/sampler
 *        unwind_walk            frames of machine code, by .eh_frame          trampoline/unwind
 *        python_frames_read     Python functions, and where in them           preload/cpython
 *        |    merged: each function before the frame of its evaluator
 *        |                     <-- the watcher, for threads that wait (watcher.h)
 *        v
 *      sample_tree, sample_file   pyperf-PID-XXXXXX.samples, a mapped file    preload/sampler
 *
 * While it is on, it needs neither the detour nor trampolines: a call costs nothing, and functions
 * that were running before have their names. Off, there is no timer, handler or file.
 *
 * SIGURG, because the default is to ignore it: one that arrives late, after a stop or an exec, does
 * nothing. The handler takes no lock, allocates nothing, and tests what it reads. The signal is not
 * blocked while it runs (SA_NODEFER): the kernel would give a blocked one to another thread and
 * interrupt that one's system call (kernel/signal.c, retarget_shared_pending). A second signal
 * meanwhile is counted with the next sample. It runs on the stack that it interrupts, of which it
 * needs some 3 KiB beside the kernel's own: alternate stacks are small (8 KiB is usual,
 * faulthandler's for example), and an overflow of one is not noticed. */
#ifndef PYPERF_SAMPLER_H
#define PYPERF_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "trampoline/base/failure.h"

/* The value of PYPERF_SAMPLER: samples a second, 1 to 10000, and behind them words, each after a
 * colon: "later", sampling is off until the program or the toggle signal switches it on; "threads",
 * each thread has a timer of its own, as on kernels before 6.4; "wall", threads that wait are
 * sampled as well, by a process of our own (watcher.h); "every=60", a file for each 60 seconds, of
 * which the process keeps the last ones, "keep=10" or as many as it says. */
struct sampler_wish {
    unsigned hz; /* 0: none */
    bool later, by_thread, wall;
    unsigned every, keep; /* 0: one file */
};

/* False for a value that cannot be used. */
bool sampler_read_wish(const char *value, struct sampler_wish *wish);

/* Once, before it is switched on: how to sample, where hz is 0 at SAMPLER_HZ, and the directory of
 * files, which must stay valid. */
enum { SAMPLER_HZ = 199 };
void sampler_prepare(const struct sampler_wish *wish, const char *directory);

/* Switches on or off; off completes the file, and on makes another one. False with `why`: nothing
 * has changed. Off cannot fail. The interpreter's layout has been confirmed. Any thread; on under
 * the interpreter's lock. */
bool sampler_switch(bool on, struct failure *why);

bool sampler_is_on(void);

/* The variable that sampler_is_on reads; pyperf-attach reads it from outside (attach.h). */
extern bool sampler_on;

/* Whether PYPERF_SAMPLER asks for it, and whether from the start. */
bool sampler_is_wanted(void);
bool sampler_begins(void);

/* The handler of forks, in a child, which has one thread and no timers: it samples into a file of
 * its own, made at its first sample. Keeps errno. */
void sampler_forked(void);

#endif
