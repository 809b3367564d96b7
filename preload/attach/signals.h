/* signals.h - the signals that end this process wait until everything can be taken back. */
#ifndef PYPERF_ATTACH_SIGNALS_H
#define PYPERF_ATTACH_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>

/* Blocks SIGINT, SIGTERM and SIGHUP; and SIGCHLD, which says that a thread has stopped. */
void signals_block(void);

/* Waits for so many nanoseconds, and lets threads go that stop meanwhile (traced_attend_late). True at
 * once when SIGINT, SIGTERM or SIGHUP has come. */
bool signals_interrupt(uint64_t time);

#endif
