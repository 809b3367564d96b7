/* sample.h - one sample of the thread that a signal has interrupted. */
#ifndef PYPERF_SAMPLE_H
#define PYPERF_SAMPLE_H

#include <stdbool.h>
#include <stdint.h>

/* Adds a sample to the file, with a weight in periods. `context` is the third argument of the
 * signal's handler. For signal handlers; changes errno. False: this thread is being sampled, or all
 * places are taken. */
bool sample_take(const void *context, uint32_t thread, uint32_t weight, uint64_t now);

/* In a process that has one thread: no thread is being sampled, no stack is kept. */
void sample_forget(void);

/* The same, and frees the memory. pre: nobody samples. */
void sample_finish(void);

#endif
