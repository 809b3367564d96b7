/* perf_map.h - the text file in which perf looks up names for addresses of anonymous memory.
 *
 * Linux, tools/perf/Documentation/jit-interface.txt: /tmp/perf-PID.map, one line a symbol,
 *     START SIZE NAME\n        both numbers hexadecimal without 0x
 * Every line is in the file when perf_map_append returns, so a process that is killed loses none.
 *
 * No descriptor is kept, because descriptors are the program's: a daemon closes all of them and
 * opens its own under the same numbers. Lines are stored through a shared mapping of the file's
 * end instead, and the file is opened by name only when it grows:
 *
 *     ...7f31c0de1010 10 py::main:/srv/app.py\n\n\n\n\n\n\n
 *        ^ window                              ^ length    ^ reserved, a multiple of 4096
 *
 * What is reserved and not used yet holds newlines: empty lines, which perf passes over.
 * perf_map_finish cuts them off; after SIGKILL or _exit up to 4095 of them stay.
 *
 * A store behind the end of a file that somebody has truncated would be a SIGBUS in the program. So
 * before a store the file is looked at again, unless that was a moment ago: a burst of new
 * functions pays for it once.
 *
 * Errors are errno values, 0 for success; nothing is printed. A map is used by one thread at a
 * time. */
#ifndef PYPERF_PERF_MAP_H
#define PYPERF_PERF_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct perf_map {
    bool open;
    char path[64];
    dev_t device;
    ino_t inode;
    char *window;       /* mapping of window_size bytes of the file at window_start */
    off_t window_start; /* bytes, a multiple of the page size */
    size_t window_size;
    uint64_t checked_at; /* nanoseconds, CLOCK_MONOTONIC: when the file was last seen to be whole */
    off_t length;        /* end of the last line */
    off_t reserved;      /* size of the file */
};

/* Opens or creates perf-PID.map in `directory` ("/tmp": perf looks nowhere else), mode 0600, and
 * appends to what this process left there before an exec. Never follows a link, never blocks; a
 * file that is not regular, not ours or has other links is EPERM, and is not touched. Keeps errno.
 */
int perf_map_open(struct perf_map *map, const char *directory, pid_t pid);

/* Appends one line. `name` is `length` bytes without NUL or newline. After an error (the disk is
 * full, a limit is met, the file is gone) the map is closed as by perf_map_finish. A closed map
 * takes lines and drops them. Keeps errno. */
int perf_map_append(struct perf_map *map, uintptr_t address, size_t size, const char *name,
                    size_t length);

/* Appends the lines of another map, which must be a regular file of ours or root's, as it is now.
 * Keeps errno. */
int perf_map_copy(struct perf_map *map, const char *path);

/* Cuts the file to its lines and closes the map. */
void perf_map_finish(struct perf_map *map);

/* In a forked child: forgets the map, whose file belongs to the parent. */
void perf_map_abandon(struct perf_map *map);

#endif
