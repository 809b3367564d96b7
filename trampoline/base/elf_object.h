/* elf_object.h - an ELF object that is mapped into this process: its address and segments. */
#ifndef PYPERF_ELF_OBJECT_H
#define PYPERF_ELF_OBJECT_H

#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_object {
    uintptr_t bias; /* address in memory minus address as linked */
    const ElfW(Phdr) * segments;
    size_t segment_count;
};

/* The object that the dynamic loader has mapped around `address`; false when there is none.
 * `name`, which may be NULL, becomes the loader's name of it: the path that it was opened by, which
 * may be relative to an earlier current directory, and "" for the main program, which musl's loader
 * calls by its path. Takes the loader's lock. The segments are valid while the object is loaded. */
bool elf_object_at(const void *address, struct elf_object *object, char name[PATH_MAX]);

/* The bytes at `address` if `size` of them lie within one readable segment, else NULL. `left`,
 * which may be NULL, becomes the number of bytes to the segment's end. */
const void *elf_object_bytes(const struct elf_object *object, uintptr_t address, size_t size,
                             size_t *left);

/* The bytes at a pointer of the dynamic section; NULL if it leads into no readable segment. glibc has
 * added the load bias to these pointers, musl has not, and nobody to the vdso's: one that leads into a
 * segment is used as it is, any other with the bias added. `left` as above. */
const void *elf_object_pointer(const struct elf_object *object, uintptr_t pointer, size_t *left);

/* The entries of the dynamic section, which may be misaligned; *count is 0 if there are none. */
const ElfW(Dyn) * elf_object_dynamic(const struct elf_object *object, size_t *count);

/* Whether the `size` bytes at `address`, as linked, lie within one segment. */
bool elf_object_has(const struct elf_object *object, uint64_t address, uint64_t size);

#endif
