/* gate.h - who may use the sample file and the tables of what is in it.
 *
 * Whoever stores a sample is inside meanwhile: threads in their signal handlers, many at a time. To
 * replace the file one of them must be alone, and the gate is closed until it is done. Nobody
 * waits: who finds the gate closed goes away, and who is not alone tries again with a later
 * sample. */
#ifndef PYPERF_GATE_H
#define PYPERF_GATE_H

#include <stdbool.h>

/* False: it is closed, and there is nothing to leave. For signal handlers, as all of them. */
bool gate_enter(void);
void gate_leave(void);

/* Closes it, by one who is inside; false: others are, too. */
bool gate_close(void);
void gate_open(void);

/* Whether nobody is inside. */
bool gate_is_idle(void);

/* In a forked child, where those who were inside do not exist. */
void gate_reset(void);

#endif
