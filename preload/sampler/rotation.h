/* rotation.h - a file for each span of time, in a process that is sampled for weeks.
 *
 * A sample that comes when the present file is older than the span completes it, and is the first
 * one of the next file: a process that does nothing makes none. Nothing in a file refers to another
 * file, so all tables of what is in it are emptied. That is done by one who is alone inside the
 * gate (gate.h), and cannot be alone while another thread is being sampled: then a later sample
 * does it.
 *
 *     gate        sample_file   ids           names of threads    mappings
 *     closed      completed     forgotten     forgotten           to be shown again
 *                 the oldest one of the process is removed (kept_files.h), the next one made
 *     open        the sample, as the first one of a process
 *
 * If the next file cannot be made, there is none, and each sample tries again: what it stands for
 * is not counted, in no file's time. */
#ifndef PYPERF_ROTATION_H
#define PYPERF_ROTATION_H

#include <stdbool.h>
#include <stdint.h>

/* The span in nanoseconds; 0: a process has one file. */
void rotation_set(uint64_t span);

/* Makes the file for a sample of `now` (CLOCK_MONOTONIC), if the present one is not. False: there
 * is none, as sample_file_open has it. For signal handlers; changes errno. pre: inside the gate. */
bool rotation_open(uint32_t version, uint64_t period, uint64_t now);

#endif
