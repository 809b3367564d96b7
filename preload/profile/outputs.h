/* outputs.h - the files beside the images: /tmp/perf-PID.map and /tmp/jit-PID.dump.
 *
 * They are written from the registry, in the order of its ids. Each file has a position, the last
 * id that is in it, and is brought up to date when a function is registered. So no error is
 * permanent: when there is a free descriptor, or disk space, again, missing lines are written, and
 * a file that was removed is made again with all of its lines.
 *
 * Threads: outputs_update is called under the profile's lock. The program may write to the map as
 * well (native_api.h), from any thread and without any interpreter's lock; so the map has a lock of
 * its own. No other lock is taken while it is held. */
#ifndef PYPERF_OUTPUTS_H
#define PYPERF_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/profile/mode.h"

/* From now on the map gets only names that perf cannot find in an image, and is made for the first
 * such line: for profiles that only perf reads, together with the images (pyperf-run). */
void outputs_spare_lines(void);

/* Opens the mode's file and writes what it lacks of the registry's functions. The first failure in
 * a row is reported in one line: names are then only in the images. */
void outputs_update(enum profile_mode mode);

/* For the program, and 0 or an errno value: opens the map; appends a line, whose name holds no
 * newline; appends the lines of another map. Keep errno. */
int outputs_map_open(void);
int outputs_map_line(uintptr_t address, size_t size, const char *name, size_t length);
int outputs_map_copy(const char *path);

/* Sets whether the map of a forked child begins with its parent's lines. */
void outputs_keep_after_fork(bool keep);

/* The handlers of pthread_atfork. The first two keep the map whole in the child; the third forgets
 * the parent's files. Safe in a signal handler. */
void outputs_before_fork(void);
void outputs_after_fork(void);
void outputs_forked(void);

/* At exit: the map is cut to its lines. */
void outputs_finish(void);

#endif
