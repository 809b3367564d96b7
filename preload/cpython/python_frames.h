/* python_frames.h - the Python functions that a thread is in, read by its own signal handler, or
 * by the watcher while it waits.
 *
 *     2.7, 3.6-3.10   tstate -> frame object -> frame object ...          an evaluator each, not linked
 *     3.11            tstate -> _PyCFrame -> frame -> frame -> frame      is_entry: the next one is
 *                                   `-> _PyCFrame                         another evaluator's
 *     3.12            the same; between the frames of two evaluators is a frame of the C stack
 *     3.13-3.15       tstate -> frame -> frame -> frame of the C stack -> frame ...
 *
 * _PyCFrame and frames of the C stack are local variables of an evaluator: their address says which
 * one. The others lie in the thread's own chunks of memory, or in a generator.
 *
 * The signal may come while the evaluator links or unlinks a frame, in whatever order its compiler
 * has put the stores. So from 3.12 on a chain is cut if it does not end in an evaluator's frame;
 * and from 3.11 on a frame that is neither in the thread's chunks nor on its stack is tested before
 * it is read (readable.h), and so is the innermost code object; frame objects, to 3.10, are
 * complete when they are linked. While Py_FinalizeEx frees the states of
 * threads that still run, everything is tested. All loops are bounded. */
#ifndef PYPERF_PYTHON_FRAMES_H
#define PYPERF_PYTHON_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/python.h"

struct python_call {
    python_object *code;
    uint32_t instruction; /* sample_format.h */
    uintptr_t
        evaluator; /* an address within the C frame of the evaluator that runs it; 0: not known */
};

enum { PYTHON_CALLS = 8192 };

struct python_calls {
    uint32_t count;
    bool cut;      /* there are more, further outwards */
    bool doubtful; /* all code objects are to be tested before they are read */
    struct python_call at[PYTHON_CALLS]; /* innermost first */
};

/* Where the thread is. */
struct python_place {
    char *thread;                       /* its state (python_threads.h); NULL: it has none */
    uintptr_t stack_pointer, stack_top; /* what is between is mapped; both 0: not known */
    /* The evaluator may be about to begin, so what it links may not be complete; and its CFA, 0: not
     * known. */
    bool beginning;
    uintptr_t evaluator;
};

/* Reads the calls of a thread: of this one, or of one that waits. For signal handlers; changes
 * errno. */
void python_frames_read(struct python_calls *calls, const struct python_place *place);

#endif
