/* elf_symbol.h - a symbol to be looked for, and which entries of a symbol table count as one. */
#ifndef PYPERF_ELF_SYMBOL_H
#define PYPERF_ELF_SYMBOL_H

#include <link.h>
#include <stdbool.h>
#include <stdint.h>

struct elf_symbol {
    const char *name; /* in; NULL entries are skipped */
    uint64_t address; /* out: st_value as linked (add the load bias); 0 when not found */
    uint64_t size;    /* out: st_size */
};

/* Functions, objects and untyped labels: not indirect functions (theirs is the address of the
 * resolver), nor thread-local symbols (an offset), nor absolute ones and other sections from
 * SHN_LORESERVE on (they do not move with the object). */
static inline bool elf_symbol_has_address(const ElfW(Sym) * symbol)
{
    switch (ELF64_ST_TYPE(symbol->st_info)) {
    case STT_NOTYPE: /* labels in assembly */
    case STT_OBJECT:
    case STT_FUNC:
        return symbol->st_shndx != SHN_UNDEF && symbol->st_shndx < SHN_LORESERVE;
    default:
        return false;
    }
}

#endif
