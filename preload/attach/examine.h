/* examine.h - everything that is looked at before anything is done. */
#ifndef PYPERF_ATTACH_EXAMINE_H
#define PYPERF_ATTACH_EXAMINE_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/attach/library_there.h"
#include "preload/attach/python_place.h"
#include "preload/attach/refusal.h"
#include "preload/attach/safe_point.h"
#include "preload/attach/status.h"
#include "preload/attach/target.h"

/* How a request gets in. */
enum way {
    WAY_PTRACE,      /* plant.h */
    WAY_INTERPRETER, /* interpreter_way.h: ptrace is refused */
};

struct examined {
    struct target target;
    struct status status;
    struct python_place place;
    struct library_there library;
    enum way way;
    struct refusal refused; /* why not by ptrace; "" */
    struct safe_point point;
    enum safe_point_answer has_point;
    bool has_status, has_python; /* how far it came */
};

/* Fills in what can be known, also when it answers false with the reason. Waits for an interpreter that
 * is still starting, `patience` nanoseconds at most. examine_close in any case. */
bool examine(pid_t pid, uint64_t patience, struct examined *examined, struct refusal *why);
/* Looks again for the library. */
bool examine_again(struct examined *examined, struct refusal *why);
void examine_close(struct examined *examined);

#endif
