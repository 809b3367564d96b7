/* elf_files.h - symbols of a mapped object that only its file has, or that file's debug file. */
#ifndef PYPERF_ELF_FILES_H
#define PYPERF_ELF_FILES_H

#include "trampoline/base/elf_object.h"
#include "trampoline/plan/elf_lookup.h"

/* As elf_lookup, for what elf_mapped_lookup did not find: those symbols that have an address
 * already keep it, and the tables of the object's file are searched for the rest.
 *
 * The file is looked for where the kernel says that it is, and as /proc/self/exe (a main program
 * may lie outside of a chroot). It is read only if it is the one that the object was mapped from,
 * or has the build id that the object has in memory: symbols of another file would be addresses of
 * anything. If there is none, the failure is FAILURE_FILE_CHANGED. Keeps errno. */
bool elf_files_lookup(const struct elf_object *object, const char *debug_root,
                      struct elf_symbol *symbols, size_t count, struct failure *why);

#endif
