/* report.h - the only code that prints: single lines on stderr that say what happened, why, and
 * what to do. */
#ifndef PYPERF_REPORT_H
#define PYPERF_REPORT_H

#include <stddef.h>

#include "trampoline/base/failure.h"

/* Prints "libpyperf: ", the text and a newline by one write of at most 512 bytes, if stderr is
 * still the file that it was at start. Raises no signal in the program and keeps its signal mask
 * (line.h). Keeps errno; no allocation. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on, lines are kept instead of printed: those of all threads. */
void report_keep(void);

/* Ends that. The lines that were kept, without the prefix, with a newline between them; what does
 * not fit is lost. */
void report_kept(char *text, size_t size);

/* "libpyperf: <consequence>: <message>: <what>: <strerror>". */
void report_failure(const char *consequence, const struct failure *why);

#endif
