/* maps.h - the mappings of another process, and the objects that its loader has mapped. */
#ifndef PYPERF_ATTACH_MAPS_H
#define PYPERF_ATTACH_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct region {
    uint64_t start, end, offset;
    bool readable, writable, executable;
    const char *path; /* "" for anonymous memory */
};

struct maps {
    char *paths; /* the text, of which they are parts */
    struct region *regions;
    size_t count;
};

/* Reads /proc/PID/maps. False with errno; maps is then empty. maps_free in any case. */
bool maps_read(pid_t pid, struct maps *maps);
/* The same of a text, which is copied. */
bool maps_parse(const char *text, struct maps *maps);
void maps_free(struct maps *maps);

/* The region of an address; NULL: nothing is mapped there. */
const struct region *maps_at(const struct maps *maps, uint64_t address);

/* The next region that begins an ELF object's file (offset 0) and is followed by an executable region
 * of the same file, from *index on, which becomes the one behind; NULL: there is no more. */
const struct region *maps_next_object(const struct maps *maps, size_t *index);

/* The last component of a path. */
const char *maps_name(const char *path);

#endif
