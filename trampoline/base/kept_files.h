/* kept_files.h - the last files of a kind that this process has made: before it makes another one, it
 * removes the oldest.
 *
 * A file is removed if its path still leads to it, by device and inode (own_file.h). One that was
 * replaced, or a link in its place, is another's, and stays. System calls alone, for signal
 * handlers; one thread at a time. */
#ifndef PYPERF_KEPT_FILES_H
#define PYPERF_KEPT_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "trampoline/base/own_file.h"

enum { KEPT_FILES_NAME = 40 };

struct kept_file {
    struct own_file own;
    char name[KEPT_FILES_NAME];
};

/* Of one kind, all in one directory. */
struct kept_files {
    struct kept_file *files; /* of the caller: there is room for so many */
    uint32_t room;
    uint32_t most;         /* are kept: `room` at most. 0: all, and none is remembered */
    uint32_t count, first; /* the oldest; the others follow, around the end */
};

/* Removes the oldest until there is room for one more. False: that cannot be done now. */
bool kept_files_make_room(struct kept_files *kept, const char *directory);

/* Remembers one that was made, by its name in the directory. pre: there is room. */
void kept_files_add(struct kept_files *kept, const struct own_file *file, const char *name);

/* In a forked child: they are its parent's. */
void kept_files_forget(struct kept_files *kept);

#endif
