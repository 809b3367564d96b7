/* library_there.h - libpyperf, if it is in the process already: preloaded, or attached before. */
#ifndef PYPERF_ATTACH_LIBRARY_THERE_H
#define PYPERF_ATTACH_LIBRARY_THERE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "preload/attach/refusal.h"
#include "preload/attach/target.h"
#include "preload/profile/mode.h"

struct library_there {
    uint64_t function; /* pyperf_attach; 0: libpyperf is not there */
    uint64_t mailbox;  /* struct attach_mailbox */
    char path[PATH_MAX];
    char version[64];
    bool sampling;
    enum profile_mode mode;
};

/* True also when it is not there. False: one is there that cannot be talked to. */
bool library_there_find(const struct target *target, struct library_there *library,
                        struct refusal *why);

#endif
