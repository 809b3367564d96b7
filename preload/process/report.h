/* report.h - the one place that prints: single lines on stderr, each saying what happened, why, and
 * what to do. */
#ifndef PYPERF_REPORT_H
#define PYPERF_REPORT_H

#include "trampoline/base/failure.h"

/* At start: what stderr is. A daemon may close it and open a file of its own under the number 2;
 * from then on nothing is said, because that file is no place for us. */
void report_remember_stderr(void);

/* "libpyperf: " and the text, as one write of at most 512 bytes with a newline behind it. Keeps
 * errno; no allocation. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "libpyperf: <consequence>: <message>: <what>: <strerror>". */
void report_failure(const char *consequence, const struct failure *why);

#endif
