/* running_calls.h - the Python calls that were running when trampolines were switched on.
 *
 * A call gets a trampoline when it begins. Those that had begun before, a server's main loop for
 * instance, have none, and perf finds nothing that names them. So when trampolines are switched on,
 * each thread's Python stack is written to a file beside the images, pyperf-PID-XXXXXX.calls:
 *
 *     process 4711
 *     evaluator 55c0d1a80000 55c0d1a8c3f0 80000 /usr/bin/python3.9
 *                                                its code: begin and end, offset in the file
 *     snapshot 0
 *     thread 4711
 *     = py::<module>:/srv/app.py                 the outermost call of an evaluator's C frame
 *     + py::main:/srv/app.py                     from 3.11 on: a call that the same C frame has inlined
 *     = py::Loop.run:/srv/loop.py                the next C frame, further inwards
 *     done                                       the snapshot is complete
 *
 * Stacks grow and shrink at one end. So in a later sample of that thread the outermost evaluators
 * that have no trampoline are the outermost ones of this list:
 *
 *     list      A      B      C
 *     sample    ?      ?      ?      trampoline D      trampoline E        A B C D E
 *     sample    ?      trampoline F                                        A F: B has ended
 *
 * Calls that share the innermost C frame may end without a trace: a second snapshot says which of
 * them are there still, and so were there in between.
 *
 * perf has its own clock. So that it knows when a snapshot was made, and where its file is, a page
 * of the file is mapped, executable, because perf records such mappings alone; the offset is the
 * snapshot's number in pages. Nothing is ever run or read there.
 *
 *     mapped at   page 0                page 1                RUNNING_CALLS_END, then unmapped
 *                 on: snapshot 0        running_calls_look    off: the last snapshot
 *
 * pyperf-run reads the file (scripts/run/running.py). Like images it stays behind (image_cleanup.h); a
 * process keeps its last 16.
 *
 * Under the profile's lock, and that of the interpreter. Failures are logged (PYPERF_DEBUG): the
 * calls then have no names. All functions keep errno. */
#ifndef PYPERF_RUNNING_CALLS_H
#define PYPERF_RUNNING_CALLS_H

enum { RUNNING_CALLS_END = 1 << 20 }; /* snapshots are below */

/* Before the others, without the profile's lock: what takes the loader's, and what may run
 * finalizers. */
void running_calls_prepare(void);

/* Trampolines are switched on: makes the file in the directory, if there are such calls. */
void running_calls_begin(const char *directory);

/* Makes another snapshot, if there is a file. */
void running_calls_look(void);

/* The last one: trampolines are switched off. */
void running_calls_end(void);

/* In a forked child: the file is the parent's. */
void running_calls_forked(void);

#endif
