/* sample.h - the stack of a thread: of one that a signal has interrupted, in its handler, or of one
 * that waits, in the watcher (watcher.h). */
#ifndef PYPERF_SAMPLE_H
#define PYPERF_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

struct sample_point {
    /* The third argument of a signal's handler; of a thread that waits it has pc and stack pointer
     * alone (arch_waiting). */
    const void *context;
    char *state; /* python_threads.h; NULL: none */
    uint32_t thread;
    bool waits;      /* in the watcher */
    uintptr_t futex; /* that it waits for; 0: for something else */
    uint64_t now;    /* CLOCK_MONOTONIC */
};

/* A stack that is in the file. */
struct sample_stack {
    uint32_t frame; /* id of the innermost; 0: none */
    uint16_t flags; /* SAMPLE_CUT and so on */
    bool full;      /* there was no room for all of it */
    uint32_t epoch; /* of the id */
};

/* Puts the stack into the file. For signal handlers; changes errno. False: this thread is being
 * sampled, or all places are taken. */
bool sample_find(const struct sample_point *point, struct sample_stack *stack);

/* Adds a sample with that stack, with a weight in periods, or counts it as lost. */
void sample_store(const struct sample_stack *stack, uint32_t thread, uint32_t weight, uint64_t now);

/* Whether the stack's id still means that stack. */
bool sample_is_valid(const struct sample_stack *stack);

/* The watcher has met memory that is gone: gives back what it had taken. */
void sample_give_up(void);

/* The next sample is the first one of another file: threads and code are written into it. For
 * signal handlers. pre: no other thread samples. */
void sample_begin_file(void);

/* In a process that has one thread: no thread is being sampled, no stack is kept. */
void sample_forget(void);

/* The same, and frees the memory. pre: nobody samples. */
void sample_finish(void);

#endif
