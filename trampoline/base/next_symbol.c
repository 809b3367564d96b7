#include "trampoline/base/next_symbol.h"

#include "trampoline/base/elf_mapped.h"

struct search {
    struct elf_symbol symbol;
    bool passed; /* this object */
    void *before, *after;
};

static bool is_this(const struct elf_object *object)
{
    return elf_object_bytes(object, (uintptr_t)next_symbol, 1, NULL) != NULL;
}

static int look_into(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    const struct elf_object object = {info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum};
    void **found = search->passed ? &search->after : &search->before;
    (void)size;
    if (!search->passed && is_this(&object))
        search->passed = true;
    else if (*found == NULL && elf_mapped_lookup(&object, &search->symbol, 1) == 0)
        *found = (void *)(object.bias + search->symbol.address);
    return search->after != NULL;
}

void *next_symbol(const char *name)
{
    struct search search = {.symbol.name = name};
    dl_iterate_phdr(look_into, &search);
    return search.after != NULL ? search.after : search.before;
}
