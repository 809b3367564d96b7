/* interpreter_way.h - a request that the interpreter itself serves, where ptrace is refused: another
 * process traces this one, or a seccomp filter forbids the call to us.
 *
 *     pyperf-attach                                        the process
 *       a script into its /tmp
 *       safe_point_ask                   ------------>     the first thread, between two instructions,
 *                                                          imports libpyperf, which finds no request
 *       writes it to its mailbox
 *       safe_point_ask                   ------------>     the same script calls the library again
 *       reads the answer there
 *       removes the script
 *
 * The first turn is left out where the library is there. The interpreter can do so from 3.14 on
 * (safe_point.h). process_vm_readv and process_vm_writev need the same rights as ptrace, but not that
 * system call, nor that nobody else traces. */
#ifndef PYPERF_ATTACH_INTERPRETER_WAY_H
#define PYPERF_ATTACH_INTERPRETER_WAY_H

#include <stdbool.h>

#include "preload/attach/examine.h"
#include "preload/attach/plant.h"
#include "preload/attach/refusal.h"
#include "preload/attach/safe_point.h"
#include "preload/attach/target.h"

/* Takes back what a pyperf-attach that was killed has left. */
void interpreter_way_clean(const struct target *target, const struct safe_point *point);

/* False with the reason. The process is one whose safe point is known. */
bool interpreter_way(const struct examined *examined, const struct plant_request *request,
                     struct plant_figures *figures, struct refusal *why);

#endif
