/* mapping.h - which file an address of this process is mapped from, and whether another name still
 * leads to that file.
 *
 * The loader only has the path that an object was opened by: it may be relative to an earlier
 * current directory, or lead to another file now. The kernel knows the mapped file.
 *
 *     7f0a9c021000-7f0a9c040000 r-xp 00004000 08:01 531   /usr/lib/libpyperf.so        proc(5)
 */
#ifndef PYPERF_MAPPING_H
#define PYPERF_MAPPING_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct mapping {
    uintptr_t start, end;
    uintptr_t end_below; /* where the mapping before this one ends; 0: this is the first */
    unsigned device_major, device_minor;
    uint64_t inode; /* 0: no file */
    /* The file's present absolute path, as the kernel gives it: " (deleted)" follows when the file
     * has none. Check it with mapping_is_of: after chroot it may be a path of another root. */
    char path[PATH_MAX];
};

/* Reads /proc/self/maps; false when that fails (errno) or shows nothing at this address (errno
 * 0). */
bool mapping_find(const void *address, struct mapping *mapping);

/* Whether the open file is the one that this was mapped from. Compares what /proc/self/maps shows
 * for both: on overlayfs and btrfs that is another device than fstat's. If not, errno is 0, or says
 * why that could not be found out. */
bool mapping_is_of(const struct mapping *mapping, int file);

#endif
