#include "trampoline/base/elf_got.h"

#include <string.h>
#include <sys/mman.h>

#include "arch.h"
#include "trampoline/base/page.h"

/* Of the dynamic section (gABI 5): relocations, and what they refer to. */
struct tables {
    const struct elf_object *object;
    uintptr_t symbols, strings;
    uintptr_t relocations[2]; /* DT_JMPREL, DT_RELA */
    size_t sizes[2];
};

/* glibc has added the load bias to pointers of the dynamic section, musl has not. */
static uintptr_t absolute(const struct elf_object *object, uintptr_t pointer)
{
    return elf_object_bytes(object, pointer, 1, NULL) != NULL ? pointer : object->bias + pointer;
}

static void read_dynamic(struct tables *tables, const ElfW(Dyn) * entry, size_t count)
{
    const struct elf_object *object = tables->object;
    for (size_t i = 0; i < count && entry[i].d_tag != DT_NULL; i++) {
        uintptr_t value = entry[i].d_un.d_val;
        switch (entry[i].d_tag) {
        case DT_SYMTAB:
            tables->symbols = absolute(object, value);
            break;
        case DT_STRTAB:
            tables->strings = absolute(object, value);
            break;
        case DT_JMPREL:
            tables->relocations[0] = absolute(object, value);
            break;
        case DT_PLTRELSZ:
            tables->sizes[0] = value;
            break;
        case DT_RELA:
            tables->relocations[1] = absolute(object, value);
            break;
        case DT_RELASZ:
            tables->sizes[1] = value;
            break;
        }
    }
}

static bool is_named(const struct tables *tables, uint64_t number, const char *name)
{
    size_t length = strlen(name) + 1;
    const ElfW(Sym) *symbol = (const ElfW(Sym) *)elf_object_bytes(
        tables->object, tables->symbols + number * sizeof *symbol, sizeof *symbol, NULL);
    const char *text =
        symbol == NULL
            ? NULL
            : elf_object_bytes(tables->object, tables->strings + symbol->st_name, length, NULL);
    return text != NULL && memcmp(text, name, length) == 0;
}

static uintptr_t find(const struct tables *tables, const char *name)
{
    for (int i = 0; i < 2; i++) {
        const ElfW(Rela) *relocations = (const ElfW(Rela) *)elf_object_bytes(
            tables->object, tables->relocations[i], tables->sizes[i], NULL);
        size_t count = relocations == NULL ? 0 : tables->sizes[i] / sizeof *relocations;
        for (size_t k = 0; k < count; k++) {
            uint64_t type = ELF64_R_TYPE(relocations[k].r_info);
            if ((type == ARCH_RELOCATION_JUMP_SLOT || type == ARCH_RELOCATION_GLOB_DAT) &&
                is_named(tables, ELF64_R_SYM(relocations[k].r_info), name))
                return tables->object->bias + relocations[k].r_offset;
        }
    }
    return 0;
}

uintptr_t *elf_got_find(const struct elf_object *object, const char *function, bool *protected)
{
    struct tables tables = {.object = object};
    for (size_t i = 0; i < object->segment_count; i++) {
        const ElfW(Phdr) *segment = &object->segments[i];
        const void *entries =
            segment->p_type != PT_DYNAMIC
                ? NULL
                : elf_object_bytes(object, object->bias + segment->p_vaddr, segment->p_memsz, NULL);
        if (entries != NULL)
            read_dynamic(&tables, entries, segment->p_memsz / sizeof(ElfW(Dyn)));
    }
    uintptr_t entry = tables.symbols == 0 || tables.strings == 0 ? 0 : find(&tables, function);
    if (entry == 0 || elf_object_bytes(object, entry, sizeof entry, NULL) == NULL)
        return NULL;
    *protected = false;
    for (size_t i = 0; i < object->segment_count; i++)
        if (object->segments[i].p_type == PT_GNU_RELRO)
            *protected = entry - object->bias - object->segments[i].p_vaddr <
                         page_down(object->segments[i].p_vaddr + object->segments[i].p_memsz) -
                             object->segments[i].p_vaddr;
    return (uintptr_t *)entry;
}

bool elf_got_store(uintptr_t *entry, uintptr_t value, bool protected)
{
    void *page = (void *)page_down((uintptr_t)entry);
    if (protected && mprotect(page, page_size(), PROT_READ | PROT_WRITE) != 0)
        return false;
    __atomic_store_n(entry, value, __ATOMIC_RELEASE);
    if (protected)
        mprotect(page, page_size(), PROT_READ);
    return true;
}
