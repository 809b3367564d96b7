/* perf_map.h - the text file in which perf looks up names for addresses of anonymous memory.
 *
 * Linux, tools/perf/Documentation/jit-interface.txt: /tmp/perf-PID.map, one line a symbol,
 *     START SIZE NAME\n        both numbers hexadecimal without 0x
 * Every line is in the file when perf_map_append returns, so a process that is killed loses none.
 *
 * No descriptor is kept (own_file.h). Lines are stored through a shared mapping of the file's end
 * (file_tail.h), and the file is opened by name only when it grows:
 *
 *     ...7f31c0de1010 10 py::main:/srv/app.py\n\n\n\n\n\n\n
 *        ^ window                              ^ length    ^ reserved, a multiple of 4096
 *
 * Reserved bytes hold newlines until they are used: perf skips empty lines.
 * perf_map_finish cuts them off; after SIGKILL or _exit up to 4095 of them stay. On a file system
 * that copies on write nothing is reserved, and each line is written.
 *
 * If another process truncates the file, a store behind its end is a SIGBUS in the program. So the
 * file's size is checked before a store, unless that was done in the last 25 microseconds: a burst
 * of new functions pays for one check.
 *
 * Others may append to the same file: an extension through CPython's own functions, or a process of
 * another container with the same pid and the same /tmp. Their lines are kept; ours follow them.
 *
 * Errors are errno values, 0 for success; nothing is printed. After any error but ESTALE the map
 * can be used as before, and the next line may succeed. ESTALE: the file was removed, replaced or
 * truncated; the map is closed and can be opened again. A map is used by one thread at a time. */
#ifndef PYPERF_PERF_MAP_H
#define PYPERF_PERF_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "trampoline/base/file_tail.h"
#include "trampoline/base/own_file.h"

struct perf_map {
    bool open;
    bool written; /* with a write for each line: the file system copies on write */
    char path[64];
    struct own_file file;
    struct file_tail tail; /* reserved is the size of the file */
    uint64_t checked_at;   /* nanoseconds, CLOCK_MONOTONIC: the last check of the file */
};

/* Opens or creates perf-PID.map in `directory` ("/tmp": perf looks nowhere else), mode 0600, and
 * appends to what this process left there before an exec. A file that was last changed before this
 * process started belongs to an earlier process with its pid and is removed first. A process in
 * another container that still uses it keeps it mapped, and gets ESTALE. Never follows a link,
 * never blocks; a file that is not regular, not ours or has other links is EPERM, and is not
 * touched. Keeps errno. */
int perf_map_open(struct perf_map *map, const char *directory, pid_t pid);

/* Appends one line. `name` is `length` bytes without NUL or newline. After an error (disk full, a
 * limit, no free descriptor) the file holds no part of the line. A closed map ignores lines. Keeps
 * errno. */
int perf_map_append(struct perf_map *map, uintptr_t address, size_t size, const char *name,
                    size_t length);

/* Appends the present lines of another map, which must be a regular file of this user or of root.
 * Keeps errno. */
int perf_map_copy(struct perf_map *map, const char *path);

/* Truncates the file to its last line and closes the map. */
void perf_map_finish(struct perf_map *map);

/* In a forked child: forgets the map, whose file belongs to the parent. */
void perf_map_abandon(struct perf_map *map);

#endif
