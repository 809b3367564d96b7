/* elf_mapped.h - the dynamic symbols and the build id of a mapped object.
 *
 * They are read from memory, because the object's file may have been replaced or removed since it
 * was mapped, and because reading a file takes longer. */
#ifndef PYPERF_ELF_MAPPED_H
#define PYPERF_ELF_MAPPED_H

#include "trampoline/base/elf_object.h"
#include "trampoline/base/elf_symbol.h"

/* Fills `symbols`, and returns how many of them were not found. elf_symbol.h says which entries of
 * the table count; two of one name with different addresses (two versions of a symbol) count as not
 * found, because nothing says which is meant.
 *
 * Headers and tables are not trusted: whatever they say, only bytes of readable segments are read,
 * each search is bounded, and an address that is found lies in a segment. No allocation, no lock,
 * no system call. */
size_t elf_mapped_lookup(const struct elf_object *object, struct elf_symbol *symbols, size_t count);

/* ld's --build-id makes 8 to 20 bytes; --build-id=0x... any number. */
enum { ELF_BUILD_ID_MAX = 64 };

/* The object's GNU build id: its length, 0 when there is none. */
size_t elf_mapped_build_id(const struct elf_object *object, uint8_t id[ELF_BUILD_ID_MAX]);

/* The same in the contents of one PT_NOTE segment or SHT_NOTE section, and its alignment. */
size_t elf_note_build_id(const void *notes, size_t size, size_t alignment,
                         uint8_t id[ELF_BUILD_ID_MAX]);

#endif
