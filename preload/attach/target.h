/* target.h - another process's memory, and the symbols of the objects in it.
 *
 * Nothing that is read there is trusted: it may be of any bytes, and change. */
#ifndef PYPERF_ATTACH_TARGET_H
#define PYPERF_ATTACH_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "preload/attach/maps.h"
#include "trampoline/base/elf_object.h"

struct target {
    pid_t pid;
    int process; /* /proc/PID, locked; -1 */
    struct maps maps;
};

/* All or nothing; false with errno. */
bool target_read(const struct target *target, uint64_t address, void *bytes, size_t size);
bool target_word(const struct target *target, uint64_t address, uint64_t *word);
/* Up to `size` bytes: as many as there are. */
size_t target_read_some(const struct target *target, uint64_t address, void *bytes, size_t size);
/* A string with its NUL, cut to fit. */
bool target_string(const struct target *target, uint64_t address, char *text, size_t size);
/* Into writable memory. */
bool target_write(const struct target *target, uint64_t address, const void *bytes, size_t size);

/* An object's segments, copied from the target's memory: so its symbols are known also when its file
 * has been replaced, or is in another mount namespace. */
struct image {
    uint64_t bias;            /* address in the target minus address as linked */
    struct elf_object object; /* of the copy */
    uint8_t *copy;
    size_t size;
    ElfW(Phdr) segments[2];
};

/* Of the object whose file begins in this region. False: it is none, or is damaged. */
bool image_open(const struct target *target, const struct region *first, struct image *image);
void image_close(struct image *image);

/* The address in the target of a dynamic symbol; 0: not found. */
uint64_t image_symbol(const struct image *image, const char *name);

/* The same of one that the object does not export: from its file, in the target's mount namespace, or
 * its debug file. `first` is the region that image_open was given. */
uint64_t image_file_symbol(const struct target *target, const struct region *first,
                           const struct image *image, const char *name);

/* The copied bytes at an address in the target; NULL: they are not all in the object. */
const uint8_t *image_bytes(const struct image *image, uint64_t address, size_t size);

#endif
