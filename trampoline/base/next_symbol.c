#include "trampoline/base/next_symbol.h"

#include "trampoline/base/elf_mapped.h"

struct search {
    struct elf_symbol symbol;
    bool passed; /* this object */
    void *found;
};

static bool is_this(const struct elf_object *object)
{
    return elf_object_bytes(object, (uintptr_t)next_symbol, 1, NULL) != NULL;
}

static int look_into(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    const struct elf_object object = {info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum};
    (void)size;
    if (!search->passed) {
        search->passed = is_this(&object);
        return 0;
    }
    if (elf_mapped_lookup(&object, &search->symbol, 1) == 0)
        search->found = (void *)(object.bias + search->symbol.address);
    return search->found != NULL;
}

void *next_symbol(const char *name)
{
    struct search search = {.symbol.name = name};
    dl_iterate_phdr(look_into, &search);
    return search.found;
}
