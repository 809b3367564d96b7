/* report.h - the one place that prints: single lines on stderr, each saying what happened, why, and
 * what to do. */
#ifndef PYPERF_REPORT_H
#define PYPERF_REPORT_H

#include "trampoline/base/failure.h"

/* "libpyperf: " and the text, as one write of at most 512 bytes with a newline behind it, on
 * stderr as long as that is what it was at start. No signal reaches the program because of it, and
 * its signal mask is as before (line.h). Keeps errno; no allocation. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* "libpyperf: <consequence>: <message>: <what>: <strerror>". */
void report_failure(const char *consequence, const struct failure *why);

#endif
