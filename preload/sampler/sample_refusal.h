/* sample_refusal.h - says that no file of samples can be made, from a signal handler.
 *
 * Each process makes its file at its first sample: it may have changed its user since sampling was
 * switched on, or be a child that has. */
#ifndef PYPERF_SAMPLE_REFUSAL_H
#define PYPERF_SAMPLE_REFUSAL_H

/* One line on stderr, as report_failure's; nothing if this process has said so before, or the one
 * that it was forked from. Takes no lock, allocates nothing. */
void sample_refusal_tell(const char *directory, int error);

#endif
