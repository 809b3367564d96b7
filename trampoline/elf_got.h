/* elf_got.h - the pointer through which a mapped object calls a function of another object. */
#ifndef PYPERF_ELF_GOT_H
#define PYPERF_ELF_GOT_H

#include <stdbool.h>

#include "trampoline/base/elf_object.h"

/* The entry of the global offset table for a function: of a relocation of the kind JUMP_SLOT or
 * GLOB_DAT. NULL if the object does not call it. *protected becomes whether the loader has made it
 * read-only (PT_GNU_RELRO). */
uintptr_t *elf_got_find(const struct elf_object *object, const char *function, bool *protected);

/* Stores into such an entry. False, with errno, if it cannot be made writable; it is never
 * executable. */
bool elf_got_store(uintptr_t *entry, uintptr_t value, bool protected);

/* Makes the pointers of all mapped objects lead to a function of ours, but for the object that has
 * it. Returns how many have changed. They stay so: an object may be unloaded at any time. Takes the
 * loader's lock. */
int elf_got_lead(const char *function, uintptr_t ours);

#endif
