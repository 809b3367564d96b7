/* test_elf_mapped.c - symbols of objects in memory: objects that the loader has mapped, and copies
 * of fixtures that end at unreadable memory, relocated or not, truncated and damaged. */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>

#include "elf/helpers.h"
#include "trampoline/base/elf_mapped.h"

enum { PAGE = 4096, MOST = 1 << 16 };

static const char *const exported[] = {"exported_function", "exported_data", "weak_function",
                                       "label_without_type"};
static const char *const others[] = {
    "hidden_function", "static_function", "twin",           "thread_data", "indirect_function",
    "absolute_symbol", "undefined_here",  "exported_funct", "missing",     ""};

static uint64_t address_of(const struct elf_object *object, const char *name)
{
    struct elf_symbol symbol = {.name = name, .address = 1, .size = 1};
    size_t missing = elf_mapped_lookup(object, &symbol, 1);
    ck_assert_uint_eq(missing, symbol.address == 0);
    if (symbol.address == 0)
        ck_assert_uint_eq(symbol.size, 0);
    return symbol.address;
}

static void assert_all_found(const struct elf_object *object, const char *fixture)
{
    for (size_t i = 0; i < LENGTH_OF(exported); i++) {
        struct elf_symbol symbol = {.name = exported[i]}, right = from_nm(fixture, exported[i]);
        ck_assert_msg(elf_mapped_lookup(object, &symbol, 1) == 0, "%s: %s is not found", fixture,
                      exported[i]);
        ck_assert_uint_eq(symbol.address, right.address);
        ck_assert_uint_eq(symbol.size, right.size);
    }
    for (size_t i = 0; i < LENGTH_OF(others); i++)
        ck_assert_msg(address_of(object, others[i]) == 0, "%s: %s is found", fixture, others[i]);
}

/* objects that the loader has mapped */

TEST(of_libc)
{
    static const char *const names[] = {"malloc", "printf", "qsort", "environ", "stdout"};
    struct elf_object libc;
    char name[PATH_MAX];
    errno = EXFULL;
    ck_assert(elf_object_at(dlsym(RTLD_DEFAULT, "gnu_get_libc_version"), &libc, name));
    ck_assert_msg(strstr(name, "/libc.so") != NULL, "%s", name);
    for (size_t i = 0; i < LENGTH_OF(names); i++) {
        void *handle = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
        uintptr_t right = (uintptr_t)dlsym(handle, names[i]);
        ck_assert_msg(libc.bias + address_of(&libc, names[i]) == right, "%s", names[i]);
    }
    ck_assert_uint_eq(address_of(&libc, "Py_GetVersion"), 0);
    ck_assert_int_eq(errno, EXFULL);
}

/* Its pointers are never relocated. */
TEST(of_the_vdso)
{
    struct elf_object vdso;
    void *start = (void *)getauxval(AT_SYSINFO_EHDR);
    if (start == NULL || !elf_object_at(start, &vdso, NULL)) {
        printf("SKIP of_the_vdso: there is none here\n");
        return;
    }
    /* its name on x86-64, and on AArch64 (Linux, Documentation/ABI/stable/vdso) */
    ck_assert(address_of(&vdso, "__vdso_clock_gettime") != 0 ||
              address_of(&vdso, "__kernel_clock_gettime") != 0);
}

TEST(of_fixtures)
{
    static const char *const fixtures[] = {"id", "sysv"};
    for (size_t i = 0; i < LENGTH_OF(fixtures); i++) {
        char path[PATH_MAX];
        struct elf_object object;
        snprintf(path, sizeof path, FIXTURE("%s.so"), fixtures[i]);
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        ck_assert_msg(handle != NULL, "%s", dlerror());
        ck_assert(elf_object_at(dlsym(handle, "exported_function"), &object, NULL));
        assert_all_found(&object, fixtures[i]);
        dlclose(handle);
    }
}

TEST(no_object)
{
    struct elf_object object;
    int local = 0;
    ck_assert(!elf_object_at(&local, &object, NULL));
    ck_assert(!elf_object_at(NULL, &object, NULL));
}

/* copies that end right before a page that cannot be read */

static struct copy {
    unsigned char *end; /* of memory */
    unsigned char whole[MOST];
    size_t size; /* as linked, from address 0 on */
    ElfW(Phdr) segments[4];
    size_t segment_count;
    struct elf_object object;
} copy;

static void make_end(void)
{
    unsigned char *memory =
        mmap(NULL, MOST + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    ck_assert_int_eq(mprotect(memory + MOST, PAGE, PROT_NONE), 0);
    copy.end = memory + MOST;
}

/* The segments of a file, with one for all loaded ones. */
static void read_fixture(const char *fixture)
{
    char path[PATH_MAX];
    size_t size;
    snprintf(path, sizeof path, FIXTURE("%s.so"), fixture);
    unsigned char *file = load(path, &size);
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)file;
    memset(&copy, 0, sizeof copy);
    copy.segments[copy.segment_count++] =
        (ElfW(Phdr)){.p_type = PT_LOAD, .p_flags = PF_R, .p_align = PAGE};
    for (int i = 0; i < header->e_phnum; i++) {
        ElfW(Phdr) segment;
        memcpy(&segment, file + header->e_phoff + (size_t)i * sizeof segment, sizeof segment);
        if (segment.p_type == PT_DYNAMIC || segment.p_type == PT_NOTE)
            copy.segments[copy.segment_count++] = segment;
        if (segment.p_type != PT_LOAD)
            continue;
        ck_assert_uint_le(segment.p_vaddr + segment.p_memsz, MOST);
        memcpy(copy.whole + segment.p_vaddr, file + segment.p_offset, segment.p_filesz);
        if (segment.p_vaddr + segment.p_memsz > copy.size)
            copy.size = segment.p_vaddr + segment.p_memsz;
    }
    ck_assert_uint_le(copy.segment_count, LENGTH_OF(copy.segments));
    copy.segments[0].p_memsz = copy.size;
    free(file);
    make_end();
}

/* The first `size` bytes of it, in memory. */
static void place(size_t size)
{
    memcpy(copy.end - size, copy.whole, size);
    copy.segments[0].p_memsz = size;
    copy.object =
        (struct elf_object){(uintptr_t)copy.end - size, copy.segments, copy.segment_count};
}

static ElfW(Dyn) * dynamic(void)
{
    for (size_t i = 0; i < copy.segment_count; i++)
        if (copy.segments[i].p_type == PT_DYNAMIC)
            return (ElfW(Dyn) *)(copy.whole + copy.segments[i].p_vaddr);
    ck_abort_msg("no dynamic segment");
}

static ElfW(Dyn) * dynamic_entry(ElfW(Sxword) tag)
{
    for (ElfW(Dyn) *entry = dynamic(); entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == tag)
            return entry;
    return NULL;
}

/* As glibc does it. */
static void relocate(void)
{
    static const ElfW(Sxword) tags[] = {DT_SYMTAB, DT_STRTAB, DT_GNU_HASH, DT_HASH};
    for (size_t i = 0; i < LENGTH_OF(tags); i++) {
        ElfW(Dyn) *entry = dynamic_entry(tags[i]);
        if (entry != NULL)
            entry->d_un.d_ptr += (uintptr_t)copy.end - copy.size;
    }
}

static const char *const fixtures[] = {"id", "sysv"};

/* Looks up all names; every result lies within the object. Faults if something beyond it is
 * read. */
static void look_for_all(void)
{
    struct elf_symbol symbols[LENGTH_OF(exported) + 2] = {{.name = "missing"}, {.name = NULL}};
    uint8_t id[ELF_BUILD_ID_MAX];
    for (size_t i = 0; i < LENGTH_OF(exported); i++)
        symbols[i + 2].name = exported[i];
    elf_mapped_lookup(&copy.object, symbols, LENGTH_OF(symbols));
    for (size_t i = 0; i < LENGTH_OF(symbols); i++)
        if (symbols[i].address != 0 &&
            !elf_object_has(&copy.object, symbols[i].address, symbols[i].size))
            ck_abort_msg("%s is outside of the object", symbols[i].name);
    if (elf_mapped_build_id(&copy.object, id) > ELF_BUILD_ID_MAX)
        ck_abort_msg("the build id is too long");
}

TEST(pointers_are_relocated_or_not)
{
    for (size_t i = 0; i < LENGTH_OF(fixtures); i++) {
        read_fixture(fixtures[i]);
        place(copy.size);
        assert_all_found(&copy.object, fixtures[i]);
        relocate();
        place(copy.size);
        assert_all_found(&copy.object, fixtures[i]);
    }
}

TEST(is_cut_off_anywhere)
{
    for (size_t i = 0; i < LENGTH_OF(fixtures); i++) {
        read_fixture(fixtures[i]);
        for (size_t size = 0; size <= copy.size; size++) {
            place(size);
            look_for_all();
        }
    }
}

/* The memory stays readable, whatever the segments say. */
TEST(is_damaged_anywhere)
{
    static const unsigned char values[] = {0, 1, 0x7f, 0x80, 0xff};
    for (size_t i = 0; i < LENGTH_OF(fixtures); i++) {
        read_fixture(fixtures[i]);
        for (int relocated = 0; relocated < 2; relocated++) {
            place(copy.size);
            for (size_t at = 0; at < copy.size * LENGTH_OF(values); at++) {
                unsigned char *byte = copy.end - copy.size + at / LENGTH_OF(values), before = *byte;
                *byte = values[at % LENGTH_OF(values)];
                look_for_all();
                *byte = before;
            }
            relocate();
        }
    }
}

TEST(segments_are_odd)
{
    static const ElfW(Phdr) odd[] = {
        {.p_type = PT_DYNAMIC, .p_vaddr = 0, .p_memsz = UINT64_MAX},
        {.p_type = PT_DYNAMIC, .p_vaddr = UINT64_MAX, .p_memsz = 16},
        {.p_type = PT_DYNAMIC, .p_vaddr = 8, .p_memsz = 0},
        {.p_type = PT_NOTE, .p_vaddr = UINT64_MAX - 8, .p_memsz = 16},
        {.p_type = PT_LOAD, .p_vaddr = 0, .p_memsz = MOST * 2, .p_flags = PF_X},
    };
    read_fixture("id");
    for (size_t i = 0; i < LENGTH_OF(odd); i++) {
        ElfW(Phdr) before[LENGTH_OF(copy.segments)];
        memcpy(before, copy.segments, sizeof before);
        place(copy.size);
        for (size_t j = 1; j < copy.segment_count; j++)
            if (odd[i].p_type == copy.segments[j].p_type)
                copy.segments[j] = odd[i];
        if (odd[i].p_type == PT_LOAD)
            copy.segments[0] = odd[i];
        look_for_all();
        memcpy(copy.segments, before, sizeof before);
    }
    copy.object.segment_count = 0;
    ck_assert_uint_eq(address_of(&copy.object, "exported_function"), 0);
}

/* A segment that may not be read holds no symbols (PF_X alone: execute-only text). */
TEST(segments_are_not_readable)
{
    read_fixture("id");
    place(copy.size);
    copy.segments[0].p_flags = PF_X;
    ck_assert_uint_eq(address_of(&copy.object, "exported_function"), 0);
}

/* tables made by hand: one bucket of DT_HASH, or of DT_GNU_HASH, that all symbols are in */

enum { SYMBOLS = 6, STRINGS_AT = 0x200, SYMBOLS_AT = 0x400, HASH_AT = 0x1000 };

static void make_tables(ElfW(Sxword) kind, const uint32_t *hash, size_t words)
{
    static const char strings[] = "\0first\0second\0twin";
    static const uint32_t names[SYMBOLS] = {0, 1, 7, 14, 14, 1};
    memset(&copy, 0, sizeof copy);
    copy.size = HASH_AT + words * sizeof *hash;
    ElfW(Dyn) entries[] = {{DT_STRTAB, {STRINGS_AT}},
                           {DT_STRSZ, {sizeof strings}},
                           {DT_SYMTAB, {SYMBOLS_AT}},
                           {kind, {HASH_AT}},
                           {DT_NULL, {0}}};
    memcpy(copy.whole, entries, sizeof entries);
    memcpy(copy.whole + STRINGS_AT, strings, sizeof strings);
    for (size_t i = 1; i < SYMBOLS; i++) {
        ElfW(Sym) symbol = {.st_name = names[i],
                            .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                            .st_shndx = 1,
                            .st_value = i == 5 ? 0x10 : i * 0x10,
                            .st_size = i};
        memcpy(copy.whole + SYMBOLS_AT + i * sizeof symbol, &symbol, sizeof symbol);
    }
    memcpy(copy.whole + HASH_AT, hash, words * sizeof *hash);
    copy.segments[0] = (ElfW(Phdr)){.p_type = PT_LOAD, .p_flags = PF_R};
    copy.segments[1] = (ElfW(Phdr)){.p_type = PT_DYNAMIC, .p_memsz = sizeof entries};
    copy.segment_count = 2;
    make_end();
    place(copy.size);
}

static uint32_t gnu_hash(const char *name)
{
    uint32_t hash = 5381;
    for (; *name != '\0'; name++)
        hash = hash * 33 + (unsigned char)*name;
    return hash & ~1u;
}

/* The same address twice is one symbol; two addresses are none. */
static void assert_twins(void)
{
    ck_assert_uint_eq(address_of(&copy.object, "first"), 0x10);
    ck_assert_uint_eq(address_of(&copy.object, "second"), 0x20);
    ck_assert_uint_eq(address_of(&copy.object, "twin"), 0);
}

TEST(two_of_a_name)
{
    const uint32_t hash[] = {1, SYMBOLS, 1, 0, 2, 3, 4, 5, 0};
    make_tables(DT_HASH, hash, LENGTH_OF(hash));
    assert_twins();
    const uint32_t gnu[] = {1,
                            1,
                            1,
                            6,
                            ~0u,
                            ~0u,
                            1,
                            gnu_hash("first"),
                            gnu_hash("second"),
                            gnu_hash("twin"),
                            gnu_hash("twin"),
                            gnu_hash("first") | 1};
    make_tables(DT_GNU_HASH, gnu, LENGTH_OF(gnu));
    assert_twins();
}

/* Chains of both hash tables end; those of a damaged one may not. */
TEST(chains_without_end)
{
    static uint32_t gnu[(MOST - HASH_AT) / sizeof(uint32_t)] = {1, 1, 1, 6, ~0u, ~0u, 1};
    const uint32_t circle[] = {1, SYMBOLS, 1, 0, 2, 3, 4, 5, 1};
    struct elf_symbol symbols[10000] = {{0}};
    struct timespec start, end;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    for (size_t i = 0; i < LENGTH_OF(symbols); i++)
        symbols[i].name = "missing";
    make_tables(DT_HASH, circle, LENGTH_OF(circle));
    ck_assert_uint_eq(elf_mapped_lookup(&copy.object, symbols, LENGTH_OF(symbols)),
                      LENGTH_OF(symbols));
    make_tables(DT_GNU_HASH, gnu, LENGTH_OF(gnu));
    ck_assert_uint_eq(elf_mapped_lookup(&copy.object, symbols, LENGTH_OF(symbols)),
                      LENGTH_OF(symbols));
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    ck_assert_int_lt(end.tv_sec - start.tv_sec, 5);
}

/* Only the beginning of each table lies in the object. */
TEST(tables_end_with_the_object)
{
    const uint32_t hash[] = {1, SYMBOLS, 1, 0, 2, 3, 4, 5, 0};
    make_tables(DT_HASH, hash, LENGTH_OF(hash));
    dynamic_entry(DT_SYMTAB)->d_un.d_ptr = copy.size - sizeof(ElfW(Sym));
    place(copy.size);
    ck_assert_uint_eq(address_of(&copy.object, "first"), 0);

    make_tables(DT_HASH, hash, LENGTH_OF(hash));
    memcpy(copy.whole + copy.size - 4, "\0fir", 4);
    dynamic_entry(DT_STRTAB)->d_un.d_ptr = copy.size - 4;
    place(copy.size);
    ck_assert_uint_eq(address_of(&copy.object, "first"), 0);

    make_tables(DT_HASH, hash, LENGTH_OF(hash));
    dynamic_entry(DT_STRSZ)->d_un.d_val = 13;
    place(copy.size);
    ck_assert_uint_eq(address_of(&copy.object, "first"), 0x10);
    ck_assert_uint_eq(address_of(&copy.object, "second"), 0);
}

TEST(tables_are_empty)
{
    static const uint32_t none[16];
    const uint32_t huge[] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u};
    static const ElfW(Sxword) kinds[] = {DT_HASH, DT_GNU_HASH};
    for (size_t i = 0; i < LENGTH_OF(kinds); i++) {
        make_tables(kinds[i], none, LENGTH_OF(none));
        ck_assert_uint_eq(address_of(&copy.object, "first"), 0);
        make_tables(kinds[i], huge, LENGTH_OF(huge));
        ck_assert_uint_eq(address_of(&copy.object, "first"), 0);
    }
}

/* build ids */

TEST(build_id)
{
    static const uint8_t right[] = {0x01, 0x23, 0x45, 0x67};
    uint8_t id[ELF_BUILD_ID_MAX];
    read_fixture("id");
    place(copy.size);
    ck_assert_uint_eq(elf_mapped_build_id(&copy.object, id), sizeof right);
    ck_assert_mem_eq(id, right, sizeof right);
    read_fixture("noid");
    place(copy.size);
    ck_assert_uint_eq(elf_mapped_build_id(&copy.object, id), 0);
}

TEST(notes_are_hostile)
{
    struct {
        ElfW(Nhdr) other;
        char other_name[8], other_text[8];
        ElfW(Nhdr) note;
        char name[4], id[4];
    } notes = {{5, 8, 1}, "CORE", "", {4, 4, NT_GNU_BUILD_ID}, "GNU", "abc"};
    uint8_t id[ELF_BUILD_ID_MAX];
    ck_assert_uint_eq(elf_note_build_id(&notes, sizeof notes, 4, id), 4);
    ck_assert_mem_eq(id, "abc", 4);
    ck_assert_uint_eq(elf_note_build_id(&notes, sizeof notes - 1, 4, id), 0);
    static const uint32_t sizes[] = {0, 5, 65, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        notes.note.n_descsz = sizes[i];
        ck_assert_uint_eq(elf_note_build_id(&notes, sizeof notes, 4, id), 0);
        notes.note.n_descsz = 4;
        notes.other.n_namesz = sizes[i];
        elf_note_build_id(&notes, sizeof notes, i % 2 == 0 ? 4 : 8, id);
        notes.other.n_namesz = 5;
    }
    ck_assert_uint_eq(elf_note_build_id(&notes, 0, 4, id), 0);
}

int main(void)
{
    return run_tests(set_up, tear_down, 60);
}
