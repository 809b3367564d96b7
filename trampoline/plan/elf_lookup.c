/* Files are read before main() of a process that must not crash, and they may be damaged or
 * hostile. So they are not mapped (a file that shrinks gives a SIGBUS under a mapping, a short read
 * under read), sizes in them are not trusted, and one budget of bytes bounds the time and memory
 * that any file can cost.
 *
 * The order of a lookup:
 *
 *   names wanted -> buckets          each table is read once for all of them
 *     .dynsym                        of the file itself
 *     .symtab
 *     debug_root/.build-id/xx/..     .symtab of the separate debug file: same build id, or
 *     .gnu_debuglink                 the CRC that the link demands
 *     .gnu_debugdata                 .symtab of the ELF file that this section holds, xz-compressed
 *
 * It ends when all names are found. */
#include "trampoline/plan/elf_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <link.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trampoline/base/debug.h"
#include "trampoline/base/elf_mapped.h"
#include "trampoline/base/read_at.h"

#define MEBIBYTE ((size_t)1 << 20)

/* The most that one lookup reads. Debian's largest python3 debug file has 30 MiB; a lookup reads
 * its symbols, and all of it to check a debug link's CRC. */
#define READ_BUDGET (256 * MEBIBYTE)

/* xz(1): decompression takes 65 MiB for -9, and 9 MiB for the default -6. */
#define UNPACK_MEMORY_MAX (80 * MEBIBYTE)
#define UNPACKED_MAX      (64 * MEBIBYTE)

enum { BUCKETS = 256 };

enum rank { RANK_NONE, RANK_LOCAL, RANK_GLOBAL };

struct wanted {
    struct elf_symbol *symbol;
    size_t length;
    struct wanted *next; /* in the same bucket */
    enum rank rank;      /* of the best symbol in the current table */
    uint64_t address;    /* its address; 0 when two of this rank differ */
    uint64_t size;
};

struct search {
    const char *real_path;
    const char *debug_root;
    Elf *image; /* the file itself */
    struct wanted *wanted;
    size_t count;
    size_t missing;
    size_t longest;
    size_t budget;
    struct wanted *buckets[BUCKETS];
};

/* The ELF header of the object that holds this code: files must have its class and machine. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* names */

/* Hashes the ends and the middle: most symbols are dropped without reading their whole names, and
 * an interpreter's names have common prefixes. */
static size_t bucket_of(const char *name, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)name;
    return (length * 31 + bytes[length - 1] * (size_t)7 + bytes[length / 2]) % BUCKETS;
}

static bool search_prepare(struct search *search, struct elf_symbol *symbols, size_t count)
{
    search->wanted = calloc(count + 1, sizeof *search->wanted); /* + 1: calloc(0) may be NULL */
    if (search->wanted == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        size_t length = symbols[i].name == NULL ? 0 : strlen(symbols[i].name);
        if (length == 0)
            continue;
        struct wanted *wanted = &search->wanted[search->count++];
        struct wanted **bucket = &search->buckets[bucket_of(symbols[i].name, length)];
        wanted->symbol = &symbols[i];
        wanted->length = length;
        wanted->next = *bucket;
        *bucket = wanted;
        if (length > search->longest)
            search->longest = length;
    }
    search->missing = search->count;
    return true;
}

/* symbols */

static void offer(struct wanted *wanted, const GElf_Sym *symbol)
{
    enum rank rank = GELF_ST_BIND(symbol->st_info) == STB_LOCAL ? RANK_LOCAL : RANK_GLOBAL;
    if (rank > wanted->rank) {
        wanted->rank = rank;
        wanted->address = symbol->st_value;
        wanted->size = symbol->st_size;
    } else if (rank == wanted->rank && wanted->address != symbol->st_value) {
        wanted->address = 0; /* nothing says which of two static functions is meant */
    }
}

static void consider(struct search *search, const char *name, const GElf_Sym *symbol)
{
    size_t length = strnlen(name, search->longest + 1); /* a hostile name may have megabytes */
    if (length == 0 || length > search->longest)
        return;
    struct wanted *wanted = search->buckets[bucket_of(name, length)];
    for (; wanted != NULL; wanted = wanted->next) {
        if (wanted->length == length && wanted->symbol->address == 0 &&
            memcmp(wanted->symbol->name, name, length) == 0 && elf_symbol_has_address(symbol))
            offer(wanted, symbol);
    }
}

/* The caller reads and patches what it finds here, so an address outside the segments is not
 * taken. */
static bool in_image(Elf *image, const struct wanted *wanted)
{
    GElf_Phdr segment;
    for (int i = 0; gelf_getphdr(image, i, &segment) != NULL; i++) {
        uint64_t offset = wanted->address - segment.p_vaddr;
        if (segment.p_type == PT_LOAD && wanted->address >= segment.p_vaddr &&
            offset < segment.p_memsz && wanted->size <= segment.p_memsz - offset)
            return true;
    }
    return false;
}

/* Takes the best symbols of the table that was just read. Segments are checked here, once for each
 * name and not for each symbol: a hostile file can have 65,000 segments and millions of symbols. */
static void settle(struct search *search)
{
    for (size_t i = 0; i < search->count; i++) {
        struct wanted *wanted = &search->wanted[i];
        if (wanted->address != 0 && in_image(search->image, wanted)) {
            wanted->symbol->address = wanted->address;
            wanted->symbol->size = wanted->size;
            search->missing--;
        }
        wanted->address = 0;
        wanted->rank = RANK_NONE;
    }
}

/* sections */

/* The data is never NULL and never empty. libelf frees it with the Elf. */
static Elf_Data *contents(Elf_Scn *section, size_t *budget)
{
    GElf_Shdr header;
    if (gelf_getshdr(section, &header) == NULL || (header.sh_flags & SHF_COMPRESSED) != 0 ||
        header.sh_size > *budget)
        return NULL;
    *budget -= header.sh_size;
    Elf_Data *data = elf_getdata(section, NULL);
    return data != NULL && data->d_buf != NULL && data->d_size > 0 ? data : NULL;
}

/* A string table; its last byte is 0, so that every offset in it begins a terminated string. */
static Elf_Data *string_table(Elf *elf, size_t index, size_t *budget)
{
    Elf_Data *data = contents(elf_getscn(elf, index), budget);
    return data != NULL && ((char *)data->d_buf)[data->d_size - 1] == '\0' ? data : NULL;
}

static Elf_Data *contents_by_name(struct search *search, const char *name)
{
    size_t index;
    if (elf_getshdrstrndx(search->image, &index) != 0)
        return NULL;
    Elf_Data *names = string_table(search->image, index, &search->budget);
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    while (names != NULL && (section = elf_nextscn(search->image, section)) != NULL) {
        if (gelf_getshdr(section, &header) != NULL && header.sh_name < names->d_size &&
            strcmp((char *)names->d_buf + header.sh_name, name) == 0)
            return contents(section, &search->budget);
    }
    return NULL;
}

bool elf_file_symbols(Elf *elf, GElf_Word type, size_t *budget, Elf_Data **symbols,
                      Elf_Data **names)
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    do {
        section = elf_nextscn(elf, section);
        if (section == NULL || gelf_getshdr(section, &header) == NULL)
            return false;
    } while (header.sh_type != type);
    *names = string_table(elf, header.sh_link, budget);
    *symbols = *names == NULL ? NULL : contents(section, budget);
    return *symbols != NULL;
}

static void search_table(struct search *search, Elf *elf, GElf_Word type)
{
    Elf_Data *symbols, *names;
    if (!elf_file_symbols(elf, type, &search->budget, &symbols, &names))
        return;
    /* Stops before libelf reports the end: its error is thread-local, and without memory for that
     * the dynamic loader ends the program. */
    size_t symbol_count = symbols->d_size / sizeof(ElfW(Sym));
    GElf_Sym symbol;
    for (size_t i = 0; i < symbol_count && i < INT_MAX; i++) {
        if (gelf_getsym(symbols, (int)i, &symbol) != NULL && symbol.st_name < names->d_size)
            consider(search, (char *)names->d_buf + symbol.st_name, &symbol);
    }
    settle(search);
}

/* files */

/* Accepts only files that this process could have mapped. Files with more than 16 bits of sections
 * or segments are refused: no interpreter has so many, and libelf would trust the numbers. */
static bool is_native(const ElfW(Ehdr) * header)
{
    return memcmp(header->e_ident, __ehdr_start.e_ident, EI_VERSION + 1) == 0 &&
           header->e_machine == __ehdr_start.e_machine &&
           (header->e_type == ET_EXEC || header->e_type == ET_DYN) && header->e_phnum != PN_XNUM &&
           (header->e_shoff == 0 || header->e_shnum != 0);
}

void elf_file_close(struct elf_file *file)
{
    elf_end(file->elf); /* NULL does nothing */
    close(file->descriptor);
}

bool elf_file_open(const char *path, struct elf_file *file, struct failure *why)
{
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. It has no effect on a regular file. */
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    debug_log(python, 2, "symbols: %s%s", path, file->descriptor < 0 ? " cannot be opened" : "");
    if (file->descriptor < 0)
        return failure_set(why, FAILURE_FILE, errno, "%s", path);

    file->elf = NULL;
    struct stat status;
    ElfW(Ehdr) header;
    ssize_t got;
    if (fstat(file->descriptor, &status) != 0) {
        failure_set(why, FAILURE_FILE, errno, "%s", path);
    } else if (!S_ISREG(status.st_mode)) {
        failure_set(why, FAILURE_FILE, S_ISDIR(status.st_mode) ? EISDIR : EINVAL, "%s", path);
    } else if ((got = read_at(file->descriptor, &header, sizeof header, 0)) < 0) {
        failure_set(why, FAILURE_FILE, errno, "%s", path);
    } else if (got != sizeof header || !is_native(&header) || elf_version(EV_CURRENT) == EV_NONE ||
               (file->elf = elf_begin(file->descriptor, ELF_C_READ, NULL)) == NULL) {
        failure_set(why, FAILURE_NOT_ELF, 0, "%s", path);
    } else {
        return true;
    }
    elf_file_close(file);
    return false;
}

/* sources, in their order */

static void from_dynamic_table(struct search *search)
{
    search_table(search, search->image, SHT_DYNSYM);
}

static void from_static_table(struct search *search)
{
    search_table(search, search->image, SHT_SYMTAB);
}

/* Returns its length, 0 when the file has none. */
static size_t build_id(struct search *search, Elf *elf, uint8_t id[ELF_BUILD_ID_MAX])
{
    Elf_Scn *section = NULL;
    GElf_Shdr header;
    while ((section = elf_nextscn(elf, section)) != NULL) {
        if (gelf_getshdr(section, &header) == NULL || header.sh_type != SHT_NOTE)
            continue;
        const Elf_Data *notes = contents(section, &search->budget);
        size_t length =
            notes == NULL ? 0
                          : elf_note_build_id(notes->d_buf, notes->d_size, header.sh_addralign, id);
        if (length > 0)
            return length;
    }
    return 0;
}

static void from_build_id(struct search *search)
{
    uint8_t id[ELF_BUILD_ID_MAX], other[ELF_BUILD_ID_MAX];
    size_t length = build_id(search, search->image, id);
    char hex[2 * ELF_BUILD_ID_MAX + 1], path[PATH_MAX];
    for (size_t i = 0; i < length; i++)
        snprintf(hex + 2 * i, 3, "%02x", id[i]);
    if (length < 2 || search->debug_root == NULL ||
        snprintf(path, sizeof path, "%s/.build-id/%.2s/%s.debug", search->debug_root, hex,
                 hex + 2) >= (int)sizeof path)
        return;

    struct elf_file file;
    if (!elf_file_open(path, &file, NULL))
        return;
    if (build_id(search, file.elf, other) == length && memcmp(id, other, length) == 0)
        search_table(search, file.elf, SHT_SYMTAB);
    elf_file_close(&file);
}

/* The polynomial of a debug link is xz's (GDB manual, Separate Debug Files; xz file format 1.0.4,
 * section 6). */
static bool has_crc(struct search *search, int descriptor, uint32_t expected)
{
    uint8_t block[16384];
    uint32_t crc = 0;
    off_t at = 0;
    ssize_t got;
    while ((got = read_at(descriptor, block, sizeof block, at)) > 0) {
        if ((size_t)got > search->budget)
            return false;
        search->budget -= (size_t)got;
        crc = lzma_crc32(block, (size_t)got, crc);
        at += got;
    }
    return got == 0 && crc == expected;
}

/* The section is a file name, zeros up to a multiple of 4, and the CRC of that whole file. */
static void from_debug_link(struct search *search)
{
    Elf_Data *section = contents_by_name(search, ".gnu_debuglink");
    if (section == NULL)
        return;
    const char *name = section->d_buf, *real_path = search->real_path;
    size_t length = strnlen(name, section->d_size), crc_at = (length + 4) / 4 * 4;
    uint32_t crc;
    if (memchr(name, '/', length) != NULL || crc_at + sizeof crc > section->d_size)
        return;
    memcpy(&crc, name + crc_at, sizeof crc);

    const char *slash = strrchr(real_path, '/');
    const char *folder = slash == NULL ? "." : real_path;
    int folder_length = slash == NULL ? 1 : (int)(slash - real_path);
    const struct {
        const char *root, *subfolder;
    } places[] = {{"", ""}, {"", "/.debug"}, {*folder == '/' ? search->debug_root : NULL, ""}};
    for (size_t i = 0; search->missing > 0 && i < sizeof places / sizeof places[0]; i++) {
        char path[PATH_MAX];
        struct elf_file file;
        if (places[i].root == NULL ||
            snprintf(path, sizeof path, "%s%.*s%s/%s", places[i].root, folder_length, folder,
                     places[i].subfolder, name) >= (int)sizeof path ||
            !elf_file_open(path, &file, NULL))
            continue;
        if (has_crc(search, file.descriptor, crc))
            search_table(search, file.elf, SHT_SYMTAB);
        elf_file_close(&file);
    }
}

/* Returns malloced memory, or NULL when it is not one xz stream or would be too large. */
static uint8_t *unpack(const Elf_Data *packed, size_t *size)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_ret status = lzma_stream_decoder(&stream, UNPACK_MEMORY_MAX, 0);
    stream.next_in = packed->d_buf;
    stream.avail_in = packed->d_size;
    uint8_t *unpacked = NULL;
    size_t capacity = 0;
    while (status == LZMA_OK) {
        if (stream.avail_out == 0) {
            size_t wider = capacity == 0 ? MEBIBYTE : 2 * capacity;
            uint8_t *moved = wider <= UNPACKED_MAX ? realloc(unpacked, wider) : NULL;
            if (moved == NULL)
                break;
            unpacked = moved;
            stream.next_out = unpacked + capacity;
            stream.avail_out = wider - capacity;
            capacity = wider;
        }
        status = lzma_code(&stream, LZMA_FINISH);
    }
    *size = stream.total_out;
    lzma_end(&stream);
    if (status == LZMA_STREAM_END)
        return unpacked;
    free(unpacked);
    return NULL;
}

/* "MiniDebugInfo" (GDB manual, of that name): an xz-packed ELF file with nothing but a .symtab. */
static void from_packed_table(struct search *search)
{
    Elf_Data *packed = contents_by_name(search, ".gnu_debugdata");
    if (packed == NULL)
        return;
    size_t size;
    uint8_t *unpacked = unpack(packed, &size);
    ElfW(Ehdr) header;
    if (unpacked != NULL && size >= sizeof header) {
        memcpy(&header, unpacked, sizeof header);
        Elf *elf = is_native(&header) ? elf_memory((char *)unpacked, size) : NULL;
        if (elf != NULL)
            search_table(search, elf, SHT_SYMTAB);
        elf_end(elf);
    }
    free(unpacked);
}

static void (*const sources[])(struct search *) = {
    from_dynamic_table, from_static_table, from_build_id, from_debug_link, from_packed_table,
};

static bool lookup(const char *path, struct search *search, struct elf_symbol *symbols,
                   size_t count, struct failure *why)
{
    for (size_t i = 0; i < count; i++)
        symbols[i].address = symbols[i].size = 0;
    struct elf_file file;
    if (!elf_file_open(path, &file, why))
        return false;
    bool prepared = search_prepare(search, symbols, count);
    if (prepared) {
        search->image = file.elf;
        for (size_t i = 0; search->missing > 0 && i < sizeof sources / sizeof sources[0]; i++)
            sources[i](search);
        debug_log(python, 2, "symbols: %zu missing", search->missing);
        free(search->wanted);
    } else {
        failure_set(why, FAILURE_MEMORY, ENOMEM, "%s", path);
    }
    elf_file_close(&file);
    return prepared;
}

bool elf_lookup(const char *path, const char *real_path, const char *debug_root,
                struct elf_symbol *symbols, size_t count, struct failure *why)
{
    int saved = errno;
    struct search search = {
        .real_path = real_path == NULL ? path : real_path,
        .debug_root = debug_root,
        .budget = READ_BUDGET,
    };
    bool found = lookup(path, &search, symbols, count, why);
    errno = saved;
    return found;
}
