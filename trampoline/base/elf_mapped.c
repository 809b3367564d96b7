/* elf_mapped.c - the dynamic symbol table by way of the program headers (gABI 5, Dynamic Section):
 *
 *   PT_DYNAMIC -> DT_SYMTAB    symbols; their number is not recorded
 *                 DT_STRTAB    their names
 *                 DT_GNU_HASH  which symbols may have a given name, or
 *                 DT_HASH      the same in the older form
 *
 * elf_object_pointer follows these pointers. */
#include "trampoline/base/elf_mapped.h"

#include <string.h>

/* Steps along hash chains of one lookup. An interpreter's chains have some 3 entries; those of a
 * hostile object may be as long as its segment. */
enum { MOST_STEPS = 1 << 20 };

struct part {
    const unsigned char *bytes; /* NULL: there is none */
    size_t size;                /* to the end of the segment, or less */
};

struct tables {
    const struct elf_object *object;
    struct part symbols, strings, gnu_hash, hash;
    size_t steps;
};

static uint32_t word_at(const struct part *part, uint64_t index)
{
    uint32_t word;
    memcpy(&word, part->bytes + index * sizeof word, sizeof word);
    return word;
}

static uint64_t words_in(const struct part *part)
{
    return part->size / sizeof(uint32_t);
}

static struct part part_at(const struct elf_object *object, uintptr_t pointer)
{
    struct part part = {NULL, 0};
    part.bytes = elf_object_pointer(object, pointer, &part.size);
    return part;
}

static bool find_tables(struct tables *tables)
{
    const struct elf_object *object = tables->object;
    size_t count, strings_size = SIZE_MAX;
    const unsigned char *entries = (const unsigned char *)elf_object_dynamic(object, &count);
    for (size_t i = 0; i < count; i++) {
        ElfW(Dyn) entry;
        memcpy(&entry, entries + i * sizeof entry, sizeof entry);
        switch (entry.d_tag) {
        case DT_NULL:
            count = i;
            break;
        case DT_SYMTAB:
            tables->symbols = part_at(object, entry.d_un.d_ptr);
            break;
        case DT_STRTAB:
            tables->strings = part_at(object, entry.d_un.d_ptr);
            break;
        case DT_STRSZ:
            strings_size = entry.d_un.d_val;
            break;
        case DT_GNU_HASH:
            tables->gnu_hash = part_at(object, entry.d_un.d_ptr);
            break;
        case DT_HASH:
            tables->hash = part_at(object, entry.d_un.d_ptr);
            break;
        case DT_SYMENT:
            if (entry.d_un.d_val != sizeof(ElfW(Sym)))
                return false;
        }
    }
    if (strings_size < tables->strings.size)
        tables->strings.size = strings_size;
    return tables->symbols.bytes != NULL && tables->strings.bytes != NULL;
}

/* Takes the symbol of that number if it has the wanted name. Returns true when the search is over,
 * because a second address was found. */
static bool offer(const struct tables *tables, uint64_t number, struct elf_symbol *wanted)
{
    ElfW(Sym) symbol;
    size_t length = strlen(wanted->name) + 1;
    if (number >= tables->symbols.size / sizeof symbol)
        return false;
    memcpy(&symbol, tables->symbols.bytes + number * sizeof symbol, sizeof symbol);
    if (symbol.st_name >= tables->strings.size || length > tables->strings.size - symbol.st_name ||
        memcmp(tables->strings.bytes + symbol.st_name, wanted->name, length) != 0 ||
        !elf_symbol_has_address(&symbol) ||
        !elf_object_has(tables->object, symbol.st_value, symbol.st_size))
        return false;
    bool another = wanted->address != 0 && wanted->address != symbol.st_value;
    wanted->address = another ? 0 : symbol.st_value;
    wanted->size = another ? 0 : symbol.st_size;
    return another;
}

/* The table as ld writes it and glibc reads it (binutils, bfd/elflink.c,
 * elf_collect_gnu_hash_codes; glibc, elf/dl-lookup.c, do_lookup_x): number of buckets, first
 * symbol, words of the Bloom filter, its shift; the filter; for each bucket its first symbol; for
 * each symbol its hash, whose lowest bit ends the bucket. */
static void find_by_gnu_hash(struct tables *tables, struct elf_symbol *wanted)
{
    enum { BUCKETS, FIRST_SYMBOL, FILTER_WORDS, SHIFT, HEADER };
    const struct part *table = &tables->gnu_hash;
    if (words_in(table) < HEADER || word_at(table, BUCKETS) == 0)
        return;
    uint64_t bucket_count = word_at(table, BUCKETS), first = word_at(table, FIRST_SYMBOL);
    uint64_t buckets =
        HEADER + (uint64_t)word_at(table, FILTER_WORDS) * (sizeof(ElfW(Addr)) / sizeof(uint32_t));
    uint64_t chains = buckets + bucket_count;
    if (chains > words_in(table))
        return;
    uint32_t hash = 5381;
    for (const unsigned char *at = (const unsigned char *)wanted->name; *at != '\0'; at++)
        hash = hash * 33 + *at;
    uint64_t number = word_at(table, buckets + hash % bucket_count);
    if (number < first) /* 0: the bucket is empty */
        return;
    for (; chains + number - first < words_in(table) && tables->steps > 0; number++) {
        uint32_t other = word_at(table, chains + number - first);
        tables->steps--;
        if (((other ^ hash) >> 1) == 0 && offer(tables, number, wanted))
            return;
        if ((other & 1) != 0)
            return;
    }
    wanted->address = wanted->size = 0; /* a chain without an end is damaged */
}

/* gABI 5, Hash Table: numbers of buckets and symbols; for each bucket its first symbol; for each
 * symbol the next one of its bucket, 0 after the last. */
static void find_by_hash(struct tables *tables, struct elf_symbol *wanted)
{
    enum { BUCKETS, SYMBOLS, HEADER };
    const struct part *table = &tables->hash;
    if (words_in(table) < HEADER || word_at(table, BUCKETS) == 0)
        return;
    uint64_t bucket_count = word_at(table, BUCKETS), symbol_count = word_at(table, SYMBOLS);
    uint64_t chains = HEADER + bucket_count;
    if (chains + symbol_count > words_in(table))
        return;
    uint32_t hash = 0;
    for (const unsigned char *at = (const unsigned char *)wanted->name; *at != '\0'; at++) {
        hash = (hash << 4) + *at;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0x0fffffff;
    }
    uint64_t number = word_at(table, HEADER + hash % bucket_count);
    for (; number != STN_UNDEF && number < symbol_count && tables->steps > 0; tables->steps--) {
        if (offer(tables, number, wanted))
            return;
        number = word_at(table, chains + number);
    }
    if (number != STN_UNDEF) /* damaged, or a cycle */
        wanted->address = wanted->size = 0;
}

size_t elf_mapped_lookup(const struct elf_object *object, struct elf_symbol *symbols, size_t count)
{
    struct tables tables = {.object = object, .steps = MOST_STEPS};
    bool readable = find_tables(&tables);
    size_t missing = 0;
    for (size_t i = 0; i < count; i++) {
        symbols[i].address = symbols[i].size = 0;
        if (symbols[i].name == NULL)
            continue;
        if (readable && tables.gnu_hash.bytes != NULL)
            find_by_gnu_hash(&tables, &symbols[i]);
        else if (readable && tables.hash.bytes != NULL)
            find_by_hash(&tables, &symbols[i]);
        missing += symbols[i].address == 0;
    }
    return missing;
}

size_t elf_note_build_id(const void *notes, size_t size, size_t alignment,
                         uint8_t id[ELF_BUILD_ID_MAX])
{
    const unsigned char *bytes = notes;
    uint64_t unit = alignment == 8 ? 8 : 4; /* gABI 5, Note Section; 8: x86 properties alone */
    ElfW(Nhdr) note;
    for (uint64_t at = 0; at <= size && size - at >= sizeof note;) {
        memcpy(&note, bytes + at, sizeof note);
        uint64_t name = at + sizeof note;
        uint64_t descriptor = (name + note.n_namesz + unit - 1) / unit * unit;
        uint64_t end = descriptor + note.n_descsz;
        if (end > size)
            break;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            memcmp(bytes + name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0 && note.n_descsz > 0 &&
            note.n_descsz <= ELF_BUILD_ID_MAX) {
            memcpy(id, bytes + descriptor, note.n_descsz);
            return note.n_descsz;
        }
        at = (end + unit - 1) / unit * unit;
    }
    return 0;
}

size_t elf_mapped_build_id(const struct elf_object *object, uint8_t id[ELF_BUILD_ID_MAX])
{
    for (size_t i = 0; i < object->segment_count; i++) {
        const ElfW(Phdr) *segment = &object->segments[i];
        if (segment->p_type != PT_NOTE)
            continue;
        const void *notes =
            elf_object_bytes(object, object->bias + segment->p_vaddr, segment->p_memsz, NULL);
        size_t length =
            notes == NULL ? 0 : elf_note_build_id(notes, segment->p_memsz, segment->p_align, id);
        if (length > 0)
            return length;
    }
    return 0;
}
