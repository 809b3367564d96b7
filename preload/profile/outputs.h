/* outputs.h - the files beside the images: /tmp/perf-PID.map and /tmp/jit-PID.dump.
 *
 * They are written from the registry, in the order of its ids. Each file has a position, the last id
 * that is in it, and is brought up to date when a function is registered. So an error is never for
 * ever: when a descriptor, or room on the disk, can be had again, what was left out is written, and
 * a file that somebody has removed is made anew with all of its lines.
 *
 * Threads: outputs_update is called under the profile's lock. The program may write to the map as
 * well (native_api.h), from any thread and without any interpreter's lock; so the map has a lock of
 * its own. Nobody waits for another lock while holding it. */
#ifndef PYPERF_OUTPUTS_H
#define PYPERF_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/profile/mode.h"

/* From now on the map gets only what perf cannot find in an image, and is made when there is such a
 * line: for whoever looks at the profile with perf alone (pyperf-run), and has the images. */
void outputs_spare_lines(void);

/* Opens the mode's file and writes what it lacks of the registry's functions. The first failure in a
 * row is said in one line: names are then in the images alone. */
void outputs_update(enum profile_mode mode);

/* For the program, and 0 or an errno value: opens the map; appends a line, whose name holds no
 * newline; appends the lines of another map. Keep errno. */
int outputs_map_open(void);
int outputs_map_line(uintptr_t address, size_t size, const char *name, size_t length);
int outputs_map_copy(const char *path);

/* Whether the map of a forked child begins with its parent's lines. */
void outputs_keep_after_fork(bool keep);

/* The handlers of pthread_atfork. The first two keep the map whole in the child; the third lets go
 * of the parent's files. Safe in a signal handler. */
void outputs_before_fork(void);
void outputs_after_fork(void);
void outputs_forked(void);

/* At exit: the map is cut to its lines. */
void outputs_finish(void);

#endif
