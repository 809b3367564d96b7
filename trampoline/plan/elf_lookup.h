/* elf_lookup.h - addresses of symbols in an ELF file, stripped or not.
 *
 * Part of libpyperf-plan.so: uses libelf and liblzma, which do not stay in the program. */
#ifndef PYPERF_ELF_LOOKUP_H
#define PYPERF_ELF_LOOKUP_H

#include <gelf.h>
#include <stddef.h>

#include "trampoline/base/elf_symbol.h"
#include "trampoline/base/failure.h"

/* Fills `symbols`. `path` is the file; `real_path` is where the debug link is resolved against, or
 * NULL for path itself; `debug_root` is the directory of separate debug files, "/usr/lib/debug" on
 * Debian, or NULL.
 *
 * A symbol counts if elf_symbol.h takes it and it is in a segment of the file. A global symbol is
 * preferred to a local one of its name; two of the same rank with different addresses count as not
 * found, because nothing says which is meant.
 *
 * A name that no file has costs a search of all of them, and the CRC of a whole debug file if there
 * is a debug link: look up optional names in a separate call, or not at all.
 *
 * False only when the file itself cannot be read (FAILURE_FILE, FAILURE_NOT_ELF, FAILURE_MEMORY);
 * all addresses are then 0. Names that are not found keep address 0; the caller knows whether it
 * needs them. A damaged or hostile file gives false or fewer symbols, never a crash. Reads only;
 * every descriptor it opens is closed on return. Keeps errno. */
bool elf_lookup(const char *path, const char *real_path, const char *debug_root,
                struct elf_symbol *symbols, size_t count, struct failure *why);

/* The parts of a lookup that pyperf-inspect uses, too. */
struct elf_file {
    int descriptor;
    Elf *elf;
};

/* Opens a regular file that this process could map. */
bool elf_file_open(const char *path, struct elf_file *file, struct failure *why);
void elf_file_close(struct elf_file *file);

/* The first symbol table of this type (the ELF specification allows one of each: gABI 4, Sections) and
 * its names, neither of them empty; the names end in a 0. Reads at most *budget bytes, which are
 * subtracted from it. libelf frees both with the Elf. False when there is no such table. */
bool elf_file_symbols(Elf *elf, GElf_Word type, size_t *budget, Elf_Data **symbols,
                      Elf_Data **names);

#endif
