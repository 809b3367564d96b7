#include "trampoline/elf_got.h"

#include <string.h>
#include <sys/mman.h>

#include "arch.h"
#include "trampoline/base/page.h"

/* The value of a tag of the dynamic section (gABI 5, Dynamic Section); 0: there is none. */
static uintptr_t value_of(const struct elf_object *object, int64_t tag)
{
    size_t count;
    const char *entries = (const char *)elf_object_dynamic(object, &count);
    for (size_t i = 0; i < count; i++) {
        ElfW(Dyn) entry;
        memcpy(&entry, entries + i * sizeof entry, sizeof entry);
        if (entry.d_tag == DT_NULL || entry.d_tag == tag)
            return entry.d_tag == tag ? entry.d_un.d_val : 0;
    }
    return 0;
}

static const void *table_of(const struct elf_object *object, int64_t tag, size_t *left)
{
    uintptr_t pointer = value_of(object, tag);
    return pointer == 0 ? NULL : elf_object_pointer(object, pointer, left);
}

struct names {
    const ElfW(Sym) * symbols;
    size_t count;
    const char *strings; /* may begin in one segment and end in the next: patchelf moves them */
};

static bool find_names(const struct elf_object *object, struct names *names)
{
    size_t left = 0;
    names->symbols = table_of(object, DT_SYMTAB, &left);
    names->count = left / sizeof *names->symbols;
    names->strings = table_of(object, DT_STRTAB, NULL);
    return names->symbols != NULL && names->strings != NULL;
}

static bool is_named(const struct elf_object *object, const struct names *names, uint64_t number,
                     const char *name)
{
    size_t length = strlen(name) + 1;
    if (number >= names->count)
        return false;
    const char *its = elf_object_bytes(
        object, (uintptr_t)names->strings + names->symbols[number].st_name, length, NULL);
    return its != NULL && memcmp(its, name, length) == 0;
}

static uintptr_t find(const struct elf_object *object, int64_t table, int64_t size,
                      const char *name)
{
    struct names names;
    size_t left, count = value_of(object, size) / sizeof(ElfW(Rela));
    const ElfW(Rela) *relocations = table_of(object, table, &left);
    if (relocations == NULL || count > left / sizeof *relocations || !find_names(object, &names))
        return 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t type = ELF64_R_TYPE(relocations[i].r_info);
        if ((type == ARCH_RELOCATION_JUMP_SLOT || type == ARCH_RELOCATION_GLOB_DAT) &&
            is_named(object, &names, ELF64_R_SYM(relocations[i].r_info), name))
            return object->bias + relocations[i].r_offset;
    }
    return 0;
}

uintptr_t *elf_got_find(const struct elf_object *object, const char *function, bool *protected)
{
    uintptr_t entry = find(object, DT_JMPREL, DT_PLTRELSZ, function);
    if (entry == 0)
        entry = find(object, DT_RELA, DT_RELASZ, function);
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

struct lead {
    const char *function;
    uintptr_t ours;
    int changed;
};

static int lead(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    struct lead *way = context;
    struct elf_object object = {info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum};
    if (elf_object_bytes(&object, way->ours, 1, NULL) != NULL)
        return 0;
    bool protected;
    uintptr_t *entry = elf_got_find(&object, way->function, &protected);
    if (entry != NULL && *entry != way->ours)
        way->changed += elf_got_store(entry, way->ours, protected);
    return 0;
}

int elf_got_lead(const char *function, uintptr_t ours)
{
    struct lead way = {.function = function, .ours = ours};
    dl_iterate_phdr(lead, &way);
    return way.changed;
}
