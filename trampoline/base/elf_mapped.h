/* elf_mapped.h - what a mapped object says of itself: the symbols of its dynamic table, its build id.
 *
 * Memory is what runs. The file that an object was mapped from may have been replaced or removed
 * since; and reading it costs more than everything here. */
#ifndef PYPERF_ELF_MAPPED_H
#define PYPERF_ELF_MAPPED_H

#include "trampoline/base/elf_object.h"
#include "trampoline/base/elf_symbol.h"

/* Fills `symbols`, and returns how many of them are not there. Which entries of the table count:
 * elf_symbol.h; two of one name with different addresses (two versions of a symbol) count as not
 * there, because nothing says which is meant.
 *
 * Nothing is believed: whatever the object's headers and tables say, only bytes of its readable
 * segments are read, each search is bounded, and an address that is found lies in a segment. No
 * allocation, no lock, no system call. */
size_t elf_mapped_lookup(const struct elf_object *object, struct elf_symbol *symbols, size_t count);

/* ld's --build-id makes 8 to 20 bytes; --build-id=0x... any number. */
enum { ELF_BUILD_ID_MAX = 64 };

/* The object's GNU build id: its length, 0 when there is none. */
size_t elf_mapped_build_id(const struct elf_object *object, uint8_t id[ELF_BUILD_ID_MAX]);

/* The same in the text of one PT_NOTE segment, whose p_align is `alignment`. */
size_t elf_note_build_id(const void *notes, size_t size, size_t alignment,
                         uint8_t id[ELF_BUILD_ID_MAX]);

#endif
