/* elf_files.h - symbols of a mapped object from its file, or from that file's debug file. */
#ifndef PYPERF_ELF_FILES_H
#define PYPERF_ELF_FILES_H

#include "trampoline/base/elf_object.h"
#include "trampoline/base/elf_symbol.h"
#include "trampoline/base/failure.h"

/* As elf_lookup, for the symbols that elf_mapped_lookup did not find: symbols that have an address
 * keep it; the others are searched for in the tables of the object's file.
 *
 * The file is opened by the path that the kernel gives, and as /proc/self/exe (a main program may
 * be outside of a chroot). It is read only if it is the one that the object was mapped from, or has
 * the build id that the object has in memory: another file's symbols would have wrong addresses.
 * Without such a file the failure is FAILURE_FILE_CHANGED. Keeps errno. */
bool elf_files_lookup(const struct elf_object *object, const char *debug_root,
                      struct elf_symbol *symbols, size_t count, struct failure *why);

#endif
