/* plant.h - how a request gets into another process, and everything of ours out of it again.
 *
 *   1  one thread maps the blob (attach_blob.h) and makes the interpreters' pointers to their evaluator
 *      lead there, by compare-and-swap: the process's own code is not written, and no other thread is
 *      stopped, because a pointer is either the old or the new one
 *   2  the next Python call of any thread comes through the blob. That thread has the interpreter's
 *      lock, and, as it stands in front of a Python function, no lock of the C library. The pointers get
 *      back what they had; the library is loaded; the request is served; the call goes on
 *   3  when no thread can be in the blob, it is unmapped
 *
 * If no Python function is called for as long as patience goes, step 2's first half is done by us.
 *
 * Compare-and-swap is made by a thread of the process, because nothing else is sure to be one store:
 * process_vm_writev and /proc/PID/mem copy with memcpy or `rep movsb` (mm/memory.c, __access_remote_vm;
 * arch/x86/lib/memcpy_64.S), whose stores the CPU may split (SDM vol. 1, 7.3.9.3). */
#ifndef PYPERF_ATTACH_PLANT_H
#define PYPERF_ATTACH_PLANT_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/attach/library_there.h"
#include "preload/attach/python_place.h"
#include "preload/attach/refusal.h"
#include "preload/attach/target.h"
#include "preload/process/attach.h"

struct plant_request {
    struct attach_request request;
    const char *library; /* its path as the target sees it; not used if it is there */
    const void
        *content; /* the library's bytes, which are loaded in the place of `library`; or NULL */
    uint32_t content_size;
    uint64_t function; /* pyperf_attach, if the library is there, or 0 */
    uint32_t own_pid;  /* what getpid gives in the target */
    uint64_t patience; /* ns */
};

struct plant_figures {
    uint64_t stopped; /* ns, the longest that a thread was stopped at a time */
    size_t threads_stopped, left_asleep;
    uint64_t served;      /* ns from the moment that it could be */
    uint64_t left_mapped; /* bytes */
    char said[sizeof((struct attach_request *)0)->said];
};

/* Takes back what a pyperf-attach that was killed has left, and waits for a library that it has made the
 * process load, `patience` nanoseconds at most; true also if there is nothing. *found: there was
 * something, and the target's maps and libraries are to be looked at again. */
bool plant_clean(struct target *target, const struct python_place *place, uint32_t own_pid,
                 uint64_t patience, struct plant_figures *figures, bool *found,
                 struct refusal *why);

/* False with the reason: nothing of ours is left but what `figures` says. */
bool plant(struct target *target, const struct python_place *place,
           const struct plant_request *request, struct plant_figures *figures, struct refusal *why);

#endif
