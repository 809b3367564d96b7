/* mapping.h - which file an address of this process is mapped from, and whether another name still
 * leads to that file.
 *
 * What the loader knows is the path that an object was opened by: relative to a directory that may
 * no longer be the current one, or gone from there since. The kernel knows the file.
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
    unsigned device_major, device_minor;
    uint64_t inode; /* 0: of no file */
    /* Where the file is now, absolute, in the kernel's words: with " (deleted)" behind it when it
     * is nowhere. To be checked by mapping_is_of before it is trusted: after chroot it may be a path
     * of another root. */
    char path[PATH_MAX];
};

/* From /proc/self/maps; false when it cannot be read (errno) or has nothing at this address (0). */
bool mapping_find(const void *address, struct mapping *mapping);

/* Whether the open file is the one that this was mapped from. Compares what the kernel says of a
 * mapping of either: on overlayfs and btrfs that is another device than fstat's. Keeps errno. */
bool mapping_is_of(const struct mapping *mapping, int file);

#endif
