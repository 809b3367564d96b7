/* refusal.h - the one line that says why nothing is done, or why it has failed, and what to do. */
#ifndef PYPERF_ATTACH_REFUSAL_H
#define PYPERF_ATTACH_REFUSAL_H

#include <stdbool.h>

struct refusal {
    char line[600]; /* without "pyperf-attach: "; "" if there is none */
};

/* Writes the line, and returns false, as most functions here do with their reason. */
bool refuse(struct refusal *why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
