#include "trampoline/base/elf_object.h"

#include <stdio.h>

struct search {
    uintptr_t address;
    struct elf_object *object;
    char *name;
    bool passed; /* the first object: the main program */
};

/* Returns the number of bytes from the address, as linked, to the end of the segment; 0 outside of
 * it. Without additions, which hostile program headers could make overflow. */
static uint64_t left_in(const ElfW(Phdr) * segment, uint64_t address)
{
    uint64_t offset = address - segment->p_vaddr;
    return segment->p_type == PT_LOAD && offset < segment->p_memsz ? segment->p_memsz - offset : 0;
}

static int look_at(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    bool first = !search->passed;
    (void)size;
    search->passed = true;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        if (left_in(&info->dlpi_phdr[i], search->address - info->dlpi_addr) == 0)
            continue;
        *search->object =
            (struct elf_object){info->dlpi_addr, info->dlpi_phdr, (size_t)info->dlpi_phnum};
        if (search->name != NULL)
            snprintf(search->name, PATH_MAX, "%s", first ? "" : info->dlpi_name);
        return 1;
    }
    return 0;
}

bool elf_object_at(const void *address, struct elf_object *object, char name[PATH_MAX])
{
    struct search search = {.address = (uintptr_t)address, .object = object, .name = name};
    return dl_iterate_phdr(look_at, &search) != 0;
}

const void *elf_object_bytes(const struct elf_object *object, uintptr_t address, size_t size,
                             size_t *left)
{
    for (size_t i = 0; i < object->segment_count; i++) {
        uint64_t there = left_in(&object->segments[i], address - object->bias);
        if (there == 0 || (object->segments[i].p_flags & PF_R) == 0 || size > there)
            continue;
        if (left != NULL)
            *left = there;
        return (const void *)address;
    }
    return NULL;
}

const void *elf_object_pointer(const struct elf_object *object, uintptr_t pointer, size_t *left)
{
    const void *bytes = elf_object_bytes(object, pointer, 1, left);
    return bytes != NULL ? bytes : elf_object_bytes(object, object->bias + pointer, 1, left);
}

const ElfW(Dyn) * elf_object_dynamic(const struct elf_object *object, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < object->segment_count; i++) {
        const ElfW(Phdr) *segment = &object->segments[i];
        if (segment->p_type != PT_DYNAMIC)
            continue;
        const void *entries =
            elf_object_bytes(object, object->bias + segment->p_vaddr, segment->p_memsz, NULL);
        if (entries != NULL)
            *count = segment->p_memsz / sizeof(ElfW(Dyn));
        return entries;
    }
    return NULL;
}

bool elf_object_has(const struct elf_object *object, uint64_t address, uint64_t size)
{
    for (size_t i = 0; i < object->segment_count; i++) {
        uint64_t there = left_in(&object->segments[i], address);
        if (there > 0 && size <= there)
            return true;
    }
    return false;
}
