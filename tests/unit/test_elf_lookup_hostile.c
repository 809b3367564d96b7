/* Damaged and hostile files. */
#include <time.h>

#include "elf/build.h"
#include "elf/helpers.h"

/* helpers */

static uint64_t seed;

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators"). */
static uint64_t next_random(void)
{
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return seed * UINT64_C(2685821657736338717);
}

static bool lookup_address(const char *debug_root, const char *name, uint64_t *address)
{
    struct elf_symbol symbol = {.name = name};
    bool readable = elf_lookup(memory_path, NULL, debug_root, &symbol, 1, NULL);
    *address = symbol.address;
    return readable;
}

static bool found_in_memory(const char *name)
{
    uint64_t address;
    return lookup_address(NULL, name, &address) && address != 0;
}

static ElfW(Shdr) * section_of_type(unsigned char *image, uint32_t type)
{
    ElfW(Ehdr) *header = (void *)image;
    ElfW(Shdr) *sections = (void *)(image + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type == type)
            return &sections[i];
    }
    ck_abort_msg("no section of type %u", type);
    return NULL;
}

/* damage */

static void check_truncations(const char *fixture, const char *name, uint64_t right)
{
    size_t size, found = 0, refused = 0;
    unsigned char *image = load(fixture, &size);
    fill_memory_file(image, size);
    for (size_t length = size; length > 0; length--) {
        uint64_t address;
        ck_assert_int_eq(ftruncate(memory_file, (off_t)length), 0);
        refused += !lookup_address(NULL, name, &address);
        ck_assert_msg(address == 0 || address == right, "at length %zu", length);
        found += address != 0;
        if (length < size / 4) /* later lengths are alike, and valgrind is slow */
            length -= length > 512 ? 64 : 0;
    }
    ck_assert_uint_ge(found, 1);
    ck_assert_uint_ge(refused, 63);
    free(image);
}

TEST(truncated)
{
    check_truncations(FIXTURE("id.so"), "hidden_function",
                      from_nm("id", "hidden_function").address);
    check_truncations(FIXTURE("packed.so"), "hidden_function",
                      from_nm("noid", "hidden_function").address);
}

/* Most flips are near the ends, where most headers and the symbols are. */
static void flip(unsigned char *image, size_t size)
{
    for (uint64_t flips = 1 + next_random() % 4; flips > 0; flips--) {
        size_t near = next_random() % 2048, at = next_random() % size;
        switch (next_random() % 4) {
        case 0:
            at = near % 512 % size;
            break;
        case 1:
        case 2:
            at = size - 1 - near % size;
            break;
        }
        image[at] ^= (unsigned char)(1 + next_random() % 255);
    }
}

enum way { AS_FILE, AS_DEBUG_FILE, AS_PACKED };

static void check_flips(const char *fixture, enum way way, const char *name, int rounds)
{
    size_t size, other_size;
    unsigned char *image = load(fixture, &size), *damaged = malloc(size);
    int found = 0, lost = 0;
    seed = 20240601;
    make_debug_root();
    for (int i = 0; i < rounds; i++) {
        memcpy(damaged, image, size);
        flip(damaged, size);
        struct elf_symbol symbol = {.name = name};
        if (way == AS_PACKED) {
            unsigned char *other = elf_build_packed(damaged, size, &other_size);
            fill_memory_file(other, other_size);
            free(other);
        } else {
            fill_memory_file(damaged, size);
        }
        elf_lookup(way == AS_DEBUG_FILE ? FIXTURE("id.stripped") : memory_path, NULL, folder,
                   &symbol, 1, NULL);
        /* The segment of the symbol is not damaged in these two. */
        ck_assert(way == AS_FILE || symbol.address < (1 << 30));
        *(symbol.address != 0 ? &found : &lost) += 1;
    }
    ck_assert_int_ge(found, rounds / 20);
    ck_assert_int_ge(lost, rounds / 20);
    free(damaged);
    free(image);
}

TEST(flipped_bytes)
{
    check_flips(FIXTURE("id.so"), AS_FILE, "hidden_function", 6000);
}

TEST(flipped_bytes_of_debug_file)
{
    check_flips(FIXTURE("id.debug"), AS_DEBUG_FILE, "hidden_function", 6000);
}

TEST(flipped_bytes_of_packed_table)
{
    check_flips(FIXTURE("mini"), AS_PACKED, "hidden_function", 2000);
}

TEST(flipped_bytes_of_packing)
{
    check_flips(FIXTURE("packed.so"), AS_FILE, "hidden_function", 4000);
}

/* false sizes */

/* The strings of .symtab, moved to the end of the file and followed by zeros up to `length`. */
static void fill_with_long_strings(const unsigned char *original, size_t size, size_t length)
{
    unsigned char *image = malloc(size);
    memcpy(image, original, size);
    uint32_t link = section_of_type(image, SHT_SYMTAB)->sh_link;
    ElfW(Shdr) *strings = (ElfW(Shdr) *)(void *)(image + ((ElfW(Ehdr) *)(void *)image)->e_shoff);
    strings += link;
    size_t old_offset = strings->sh_offset, old_size = strings->sh_size;
    strings->sh_offset = size;
    strings->sh_size = length;
    fill_memory_file(image, size);
    ck_assert_int_eq(ftruncate(memory_file, (off_t)(size + length)), 0);
    ck_assert_int_eq(pwrite(memory_file, original + old_offset, old_size, (off_t)size),
                     (ssize_t)old_size);
    free(image);
}

TEST(sections_too_large_to_read)
{
    size_t size;
    unsigned char *image = load(FIXTURE("id.so"), &size);
    fill_with_long_strings(image, size, 4 * MEBIBYTE);
    ck_assert(found_in_memory("hidden_function"));
    fill_with_long_strings(image, size, 400 * MEBIBYTE); /* a sparse file: nothing but zeros */
    ck_assert(!found_in_memory("hidden_function"));
    ck_assert(found_in_memory("exported_function"));
    free(image);
}

TEST(strings_that_are_none)
{
    size_t size;
    unsigned char *image = load(FIXTURE("id.so"), &size);
    ElfW(Shdr) *symbols = section_of_type(image, SHT_SYMTAB);
    ElfW(Shdr) *strings = (ElfW(Shdr) *)(void *)(image + ((ElfW(Ehdr) *)(void *)image)->e_shoff);
    strings += symbols->sh_link;
    fill_memory_file(image, size);
    ck_assert(found_in_memory("hidden_function"));
    strings->sh_flags = SHF_COMPRESSED;
    fill_memory_file(image, size);
    ck_assert(!found_in_memory("hidden_function"));
    strings->sh_flags = 0;
    ck_assert_uint_eq(image[strings->sh_offset + strings->sh_size - 1], 0);
    image[strings->sh_offset + strings->sh_size - 1] = 'x';
    fill_memory_file(image, size);
    ck_assert(!found_in_memory("hidden_function"));
    free(image);
}

TEST(counts_beyond_16_bits)
{
    size_t size;
    uint64_t address;
    unsigned char *image = load(FIXTURE("id.so"), &size);
    ElfW(Ehdr) *header = (void *)image, saved = *header;
    header->e_shnum = 0;
    fill_memory_file(image, size);
    ck_assert(!lookup_address(NULL, "exported_function", &address));
    *header = saved;
    header->e_phnum = PN_XNUM;
    fill_memory_file(image, size);
    ck_assert(!lookup_address(NULL, "exported_function", &address));
    *header = saved;
    fill_memory_file(image, size);
    ck_assert(lookup_address(NULL, "exported_function", &address));
    free(image);
}

/* Read to their ends, these names are a terabyte. */
TEST(names_without_end)
{
    enum { COUNT = 200000, LENGTH = 8 << 20 };
    char *strings = malloc(LENGTH);
    memset(strings, 'x', LENGTH);
    strcpy(strings + LENGTH - sizeof "wanted", "wanted");
    ElfW(Sym) *symbols = calloc(COUNT, sizeof *symbols);
    for (uint32_t i = 1; i < COUNT; i++)
        symbols[i] =
            (ElfW(Sym)){.st_name = i, .st_info = STT_FUNC, .st_shndx = 1, .st_value = 4096};
    symbols[COUNT - 1].st_name = LENGTH - sizeof "wanted";
    struct elf_part parts[] = {
        {".symtab", SHT_SYMTAB, 2, sizeof *symbols, symbols, COUNT * sizeof *symbols},
        {".strtab", SHT_STRTAB, 0, 0, strings, LENGTH},
    };
    size_t size;
    unsigned char *image = elf_build(parts, 2, &size);
    fill_memory_file(image, size);
    clock_t start = clock();
    ck_assert(found_in_memory("wanted"));
    ck_assert_int_lt((clock() - start) / CLOCKS_PER_SEC, 5);
    free(image);
    free(strings);
    free(symbols);
}

/* As many notes as fit, none of them a build id; then one that is longer than any. */
TEST(odd_notes)
{
    unsigned char notes[4096] = {0};
    for (size_t at = 0; at < 2048; at += sizeof(ElfW(Nhdr)))
        ((ElfW(Nhdr) *)(void *)(notes + at))->n_type = NT_GNU_BUILD_ID;
    ElfW(Nhdr) *last = (void *)(notes + 2052);
    *last = (ElfW(Nhdr)){.n_namesz = 4, .n_descsz = 1024, .n_type = NT_GNU_BUILD_ID};
    memcpy(last + 1, "GNU", 4);
    struct elf_part part = {".note.gnu.build-id", SHT_NOTE, 0, 0, notes, sizeof notes};
    size_t size;
    unsigned char *image = elf_build(&part, 1, &size);
    uint64_t address;
    fill_memory_file(image, size);
    ck_assert(lookup_address(FIXTURE("root"), "hidden_function", &address));
    ck_assert_uint_eq(address, 0);
    free(image);
}

static bool found_by_link(const void *bytes, size_t length, const char *real_path)
{
    struct elf_part part = {".gnu_debuglink", SHT_PROGBITS, 0, 0, bytes, length};
    size_t size;
    unsigned char *image = elf_build(&part, 1, &size);
    struct elf_symbol symbol = {.name = "hidden_function"};
    fill_memory_file(image, size);
    ck_assert(elf_lookup(memory_path, real_path, NULL, &symbol, 1, NULL));
    free(image);
    return symbol.address != 0;
}

TEST(odd_debug_links)
{
    const char *path = FIXTURE("beside/app.so");
    size_t size;
    unsigned char *image = load(FIXTURE("noid.debug"), &size);
    uint32_t crc = lzma_crc32(image, size, 0);
    char link[32] = "noid.debug"; /* 10 bytes, 2 of padding, the CRC */
    memcpy(link + 12, &crc, sizeof crc);
    ck_assert(found_by_link(link, 16, path));
    ck_assert(!found_by_link(link, 15, path));
    ck_assert(!found_by_link(link, 10, path));
    ck_assert(!found_by_link(link + 10, 2, path));
    ck_assert(!found_by_link("\0\0\0\0\0\0\0\0", 8, path));
    ck_assert(!found_by_link("..\0\0\0\0\0\0", 8, path));
    memset(link + 10, 'x', 6);
    ck_assert(!found_by_link(link, 16, path));
    char outside[32] = "../beside/noid.debug"; /* 20 bytes, 4 of padding, the CRC */
    memcpy(outside + 24, &crc, sizeof crc);
    ck_assert(!found_by_link(outside, 28, path));
    free(image);
}

/* Debug files with the right CRC, and zeros behind the contents. */
TEST(debug_file_too_large_for_crc)
{
    static const size_t lengths[] = {MEBIBYTE, 300 * MEBIBYTE};
    const char *path = in_folder("big.debug");
    size_t size, at;
    unsigned char *debug = load(FIXTURE("noid.debug"), &size), *zeros = calloc(1, MEBIBYTE);
    bool found[2];
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(path, "wbe");
        ck_assert_uint_eq(fwrite(debug, 1, size, file), size);
        fclose(file);
        ck_assert_int_eq(truncate(path, (off_t)(size + lengths[i])), 0);
        uint32_t crc = lzma_crc32(debug, size, 0);
        for (at = 0; at < lengths[i]; at += MEBIBYTE)
            crc = lzma_crc32(zeros, MEBIBYTE, crc);
        char link[16] = "big.debug";
        memcpy(link + 12, &crc, sizeof crc);
        found[i] = found_by_link(link, sizeof link, path);
    }
    ck_assert(found[0]);
    ck_assert(!found[1]);
    free(zeros);
    free(debug);
}

/* tables that disagree */

#define SYMBOL(at, bind, type, section, value)                                                     \
    (ElfW(Sym))                                                                                    \
    {                                                                                              \
        .st_name = at, .st_info = ELF64_ST_INFO(bind, type), .st_shndx = section,                  \
        .st_value = value, .st_size = 1                                                            \
    }

/* Names at their offsets in the string table. */
static const char some_strings[] = "\0first\0second\0third\0missing";
enum { FIRST = 1, SECOND = 7, THIRD = 14 };

TEST(tables_that_disagree)
{
    const ElfW(Sym) dynamic[] = {
        SYMBOL(FIRST, STB_GLOBAL, STT_FUNC, 1, 0x1000),
        SYMBOL(SECOND, STB_GLOBAL, STT_FUNC, 1, 0x2000), /* two of these: not taken */
        SYMBOL(SECOND, STB_GLOBAL, STT_FUNC, 1, 0x2100),
        SYMBOL(THIRD, STB_GLOBAL, STT_FUNC, SHN_UNDEF, 0x3000), /* of a PLT entry */
        SYMBOL(sizeof some_strings, STB_GLOBAL, STT_FUNC, 1, 0x4000),
        SYMBOL(UINT32_MAX, STB_GLOBAL, STT_FUNC, 1, 0x4000),
    };
    const ElfW(Sym) table[] = {
        SYMBOL(FIRST, STB_GLOBAL, STT_FUNC, 1, 0x1100),
        SYMBOL(SECOND, STB_LOCAL, STT_FUNC, 1, 0x2200),
    };
    size_t size, mini_size, packed_size;
    unsigned char *mini = load(FIXTURE("mini"), &mini_size);
    unsigned char *packed = xz_pack(mini, mini_size, &packed_size);
    struct elf_part parts[] = {
        {".dynsym", SHT_DYNSYM, 2, sizeof dynamic[0], dynamic, sizeof dynamic},
        {".dynstr", SHT_STRTAB, 0, 0, some_strings, sizeof some_strings},
        {".symtab", SHT_SYMTAB, 2, sizeof table[0], table, sizeof table},
        {".gnu_debugdata", SHT_PROGBITS, 0, 0, packed, packed_size},
    };
    unsigned char *image = elf_build(parts, 4, &size);
    fill_memory_file(image, size);
    struct elf_symbol symbols[] = {{.name = "third"},
                                   {.name = "first"},
                                   {.name = "second"},
                                   {.name = "first"},
                                   {.name = "hidden_function"}};
    ck_assert(elf_lookup(memory_path, NULL, NULL, symbols, 5, NULL));
    ck_assert_uint_eq(symbols[0].address, 0);
    ck_assert_uint_eq(symbols[1].address, 0x1000);
    ck_assert_uint_eq(symbols[2].address, 0x2200);
    ck_assert_uint_eq(symbols[3].address, 0x1000);
    ck_assert_uint_eq(symbols[4].address, from_nm("noid", "hidden_function").address);
    free(image);
    free(packed);
    free(mini);
}

/* packing */

/* The fixture's packed table with `more` zeros behind it. */
static bool found_when_padded(const unsigned char *mini, size_t size, size_t more)
{
    unsigned char *padded = calloc(1, size + more);
    memcpy(padded, mini, size);
    size_t image_size;
    unsigned char *image = elf_build_packed(padded, size + more, &image_size);
    fill_memory_file(image, image_size);
    free(image);
    free(padded);
    return found_in_memory("hidden_function");
}

TEST(packed_table_too_large)
{
    size_t size;
    unsigned char *mini = load(FIXTURE("mini"), &size);
    ck_assert(found_when_padded(mini, size, 0));
    ck_assert(found_when_padded(mini, size, 5 * MEBIBYTE + 1));
    ck_assert(!found_when_padded(mini, size, 64 * MEBIBYTE));
    free(mini);
}

/* The packed file is trusted as little as any other. */
TEST(packed_file_is_not_native)
{
    size_t size;
    unsigned char *mini = load(FIXTURE("mini"), &size);
    ElfW(Ehdr) *header = (void *)mini;
    ck_assert(!found_when_padded(mini, sizeof *header - 1, 0));
    header->e_machine ^= 1;
    ck_assert(!found_when_padded(mini, size, 0));
    header->e_machine ^= 1;
    ck_assert(found_when_padded(mini, size, 0));
    free(mini);
}

/* How much memory unpacking takes is a byte of the block's header (xz file format 1.0.4, section
 * 5.3.1): at 12 the header's size, its flags, the filter, the length of its properties, this byte,
 * 3 of padding, the header's CRC. */
static bool found_with_dictionary(const unsigned char *mini, size_t size, unsigned char dictionary)
{
    size_t packed_size, image_size;
    unsigned char *packed = xz_pack(mini, size, &packed_size);
    ck_assert_mem_eq(packed + 12, "\x02\x00\x21\x01", 4);
    packed[16] = dictionary;
    uint32_t crc = lzma_crc32(packed + 12, 8, 0);
    memcpy(packed + 20, &crc, sizeof crc);
    struct elf_part part = {".gnu_debugdata", SHT_PROGBITS, 0, 0, packed, packed_size};
    unsigned char *image = elf_build(&part, 1, &image_size);
    fill_memory_file(image, image_size);
    free(image);
    free(packed);
    return found_in_memory("hidden_function");
}

TEST(packed_table_takes_too_much_memory)
{
    size_t size;
    unsigned char *mini = load(FIXTURE("mini"), &size);
    ck_assert(found_with_dictionary(mini, size, 28));  /* 64 MiB, what xz -9 asks for */
    ck_assert(!found_with_dictionary(mini, size, 30)); /* 128 MiB */
    ck_assert(!found_with_dictionary(mini, size, 40)); /* 4 GiB */
    free(mini);
}

int main(void)
{
    return run_tests(set_up, tear_down, 300);
}
