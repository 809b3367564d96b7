/* pyperf-unwind.c - unwind data for a library that has none, such as musl's libc.
 *
 *     pyperf-unwind LIBRARY OUT
 *
 * OUT is a copy of LIBRARY for perf's reader alone, never to be loaded: its constants (.rodata), of
 * which perf reads nothing, are replaced by an .eh_frame and its table (eh_frame.h). They have to be
 * there: perf reads unwind data through the addresses that the process had mapped. perf takes the
 * copy for LIBRARY by its path (--symfs), or in a build-id cache (--buildid-dir) by its build id.
 *
 * Exit status: 0 when OUT is complete, 1 when not, with a line that says why.
 *
 * The file may be damaged or hostile: sizes and offsets in it are not trusted. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "eh_frame.h"
#include "stack_track.h"

enum {
    SIZE_MAX_MB = 16, /* musl's libc has less than one */
    /* Complete unwind data is a fifth of the code, in the libraries of Debian 12. */
    CODE_PER_UNWIND_DATA = 64,
};

static const char section_names[] = ".eh_frame\0.eh_frame_hdr";
enum { FRAME_NAME = 0, HEADER_NAME = sizeof ".eh_frame", ADDED = 2 };

/* The bytes grow at the end of the work: the pointers into them are then invalid. */
struct library {
    struct bytes file;
    Elf64_Ehdr *header;
    Elf64_Phdr *segments;
    Elf64_Shdr *sections;
    const char *names; /* of sections */
    size_t names_size;
    const Elf64_Phdr *code;
    Elf64_Shdr *constants;
};

/* The bytes at that offset of the file; NULL if it has none there, or the alignment is wrong. */
static void *in_file(const struct library *library, uint64_t offset, uint64_t size,
                     size_t alignment)
{
    bool there = offset <= library->file.size && size <= library->file.size - offset;
    return there && offset % alignment == 0 ? library->file.at + offset : NULL;
}

static void *table_of(const struct library *library, const Elf64_Shdr *section)
{
    return in_file(library, section->sh_offset, section->sh_size, 8);
}

static const char *name_of(const struct library *library, const Elf64_Shdr *section)
{
    return section->sh_name < library->names_size ? library->names + section->sh_name : "";
}

/* Of .rodata, for jump tables. */
static bool read_constant(void *context, uint64_t address, void *bytes, size_t size)
{
    const struct library *library = context;
    uint64_t offset = address - library->constants->sh_addr;
    if (offset >= library->constants->sh_size || size > library->constants->sh_size - offset)
        return false;
    memcpy(bytes, library->file.at + library->constants->sh_offset + offset, size);
    return true;
}

/* opening */

static const char *read_file(const char *path, struct bytes *file)
{
    static const uint8_t nothing[4096];
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    bool opened = fd >= 0 && fstat(fd, &status) == 0;
    if (opened && (!S_ISREG(status.st_mode) || status.st_size > (off_t)SIZE_MAX_MB << 20))
        errno = S_ISREG(status.st_mode) ? EFBIG : EINVAL, opened = false;
    while (opened && file->size < (size_t)status.st_size) {
        size_t before = file->size;
        bytes_put(file, nothing, sizeof nothing);
        ssize_t got = file->failed ? -1 : read(fd, file->at + before, sizeof nothing);
        opened = got > 0;
        file->size = before + (opened ? (size_t)got : 0);
    }
    const char *why = opened ? NULL : strerror(errno);
    if (fd >= 0)
        close(fd);
    return why;
}

static bool has_unwind_data(const struct library *library)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < library->header->e_shnum; i++)
        if (strcmp(name_of(library, &library->sections[i]), ".eh_frame") == 0)
            size = library->sections[i].sh_size;
    return size > library->code->p_filesz / CODE_PER_UNWIND_DATA;
}

/* The largest segment of code, and the largest section of constants. */
static void find_parts(struct library *library)
{
    for (unsigned i = 0; i < library->header->e_phnum; i++) {
        const Elf64_Phdr *segment = &library->segments[i];
        if (segment->p_type == PT_LOAD && (segment->p_flags & PF_X) != 0 &&
            in_file(library, segment->p_offset, segment->p_filesz, 1) != NULL &&
            (library->code == NULL || segment->p_filesz > library->code->p_filesz))
            library->code = segment;
    }
    for (unsigned i = 0; i < library->header->e_shnum; i++) {
        Elf64_Shdr *section = &library->sections[i];
        if (section->sh_type == SHT_PROGBITS && section->sh_flags == SHF_ALLOC &&
            table_of(library, section) != NULL &&
            (library->constants == NULL || section->sh_size > library->constants->sh_size))
            library->constants = section;
    }
}

static const char *open_library(const char *path, struct library *library)
{
    const char *why = read_file(path, &library->file);
    if (why != NULL)
        return why;
    Elf64_Ehdr *header = library->header = in_file(library, 0, sizeof *library->header, 1);
    if (header == NULL || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64)
        return "it is no ELF file for x86-64";
    library->segments = in_file(library, header->e_phoff, header->e_phnum * sizeof(Elf64_Phdr), 8);
    library->sections = in_file(library, header->e_shoff, header->e_shnum * sizeof(Elf64_Shdr), 8);
    if (library->segments == NULL || library->sections == NULL ||
        header->e_shstrndx >= header->e_shnum)
        return "it has no section headers, or is cut off";
    const Elf64_Shdr *names = &library->sections[header->e_shstrndx];
    library->names = in_file(library, names->sh_offset, names->sh_size, 1);
    if (library->names == NULL || names->sh_size == 0 || library->names[names->sh_size - 1] != '\0')
        return "its section headers have no names";
    library->names_size = names->sh_size;
    find_parts(library);
    if (library->code == NULL || library->constants == NULL)
        return "it has no code, or no .rodata";
    return has_unwind_data(library) ? "it has unwind data" : NULL;
}

/* its functions */

static void add_symbols(struct stack_track *track, const Elf64_Sym *symbols, uint64_t size)
{
    for (uint64_t i = 0; i < size / sizeof *symbols; i++)
        if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC && symbols[i].st_shndx != SHN_UNDEF)
            stack_track_function(track, symbols[i].st_value);
}

/* Pointers to functions, in data. */
static void add_pointers(struct stack_track *track, const Elf64_Rela *relocations, uint64_t size)
{
    for (uint64_t i = 0; i < size / sizeof *relocations; i++)
        if (ELF64_R_TYPE(relocations[i].r_info) == R_X86_64_RELATIVE)
            stack_track_function(track, (uint64_t)relocations[i].r_addend);
}

static void add_functions(const struct library *library, struct stack_track *track)
{
    stack_track_function(track, library->header->e_entry);
    for (unsigned i = 0; i < library->header->e_shnum; i++) {
        const Elf64_Shdr *section = &library->sections[i];
        const void *table = table_of(library, section);
        if (table != NULL && (section->sh_type == SHT_DYNSYM || section->sh_type == SHT_SYMTAB))
            add_symbols(track, table, section->sh_size);
        else if (table != NULL && section->sh_type == SHT_RELA)
            add_pointers(track, table, section->sh_size);
    }
}

/* the copy */

static void name_segment(struct library *library, const Elf64_Shdr *table)
{
    for (unsigned i = 0; i < library->header->e_phnum; i++) {
        Elf64_Phdr *segment = &library->segments[i];
        if (segment->p_type != PT_GNU_EH_FRAME)
            continue;
        segment->p_offset = table->sh_offset;
        segment->p_vaddr = segment->p_paddr = table->sh_addr;
        segment->p_filesz = segment->p_memsz = table->sh_size;
    }
}

/* The new section headers and their names go to the end of the file. */
static void put_sections(struct library *library, const Elf64_Shdr added[ADDED])
{
    struct bytes *file = &library->file, names = {0}, sections = {0};
    Elf64_Ehdr header = *library->header;
    bytes_put(&names, library->names, library->names_size);
    bytes_put(&names, section_names, sizeof section_names);
    for (unsigned i = 0; i < header.e_shnum; i++) {
        const char *name = name_of(library, &library->sections[i]);
        if (strcmp(name, ".eh_frame") == 0 || strcmp(name, ".eh_frame_hdr") == 0)
            library->sections[i] = (Elf64_Shdr){0};
    }
    library->constants->sh_type = SHT_NOBITS;
    bytes_align(file, 8, 0);
    library->sections = (Elf64_Shdr *)(void *)(file->at + header.e_shoff);
    library->sections[header.e_shstrndx].sh_offset = file->size;
    library->sections[header.e_shstrndx].sh_size = names.size;
    bytes_put(&sections, library->sections, header.e_shnum * sizeof(Elf64_Shdr));
    bytes_put(&sections, added, ADDED * sizeof *added);
    bytes_put(file, names.at, names.size);
    bytes_align(file, 8, 0);
    header.e_shoff = file->size;
    header.e_shnum += ADDED;
    bytes_put(file, sections.at, sections.size);
    file->failed |= names.failed || sections.failed;
    if (!file->failed)
        memcpy(file->at, &header, sizeof header);
    free(names.at);
    free(sections.at);
}

static const char *put_frames(struct library *library, const struct stack_track *track)
{
    struct bytes frames = {0}, functions = {0}, table = {0};
    Elf64_Shdr at = *library->constants;
    eh_frame_put(&frames, &functions, at.sh_addr, track, library->code->p_vaddr);
    bytes_align(&frames, 8, 0);
    eh_frame_header_put(&table, at.sh_addr + frames.size, at.sh_addr, &functions);
    const char *why = NULL;
    if (frames.failed || functions.failed || table.failed)
        why = strerror(ENOMEM);
    else if (frames.size + table.size > at.sh_size)
        why = "its .rodata has no room for the unwind data";
    else {
        memcpy(library->file.at + at.sh_offset, frames.at, frames.size);
        memcpy(library->file.at + at.sh_offset + frames.size, table.at, table.size);
        Elf64_Shdr added[ADDED] = {at, at};
        added[0].sh_name = (uint32_t)(library->names_size + FRAME_NAME);
        added[0].sh_size = frames.size;
        added[1].sh_name = (uint32_t)(library->names_size + HEADER_NAME);
        added[1].sh_offset += frames.size;
        added[1].sh_addr += frames.size;
        added[1].sh_size = table.size;
        name_segment(library, &added[1]);
        put_sections(library, added);
    }
    free(frames.at);
    free(functions.at);
    free(table.at);
    return why;
}

static const char *write_file(const char *path, const struct bytes *file)
{
    if (file->failed)
        return strerror(ENOMEM);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return strerror(errno);
    size_t done = 0;
    for (ssize_t got = 1; got > 0 && done<file->size; done += got> 0 ? (size_t)got : 0)
        got = write(fd, file->at + done, file->size - done);
    int error = errno;
    if (close(fd) == 0 && done == file->size)
        return NULL;
    unlink(path);
    return strerror(error);
}

static const char *make(const char *path, const char *out)
{
    struct library library = {0};
    const char *why = open_library(path, &library);
    if (why == NULL) {
        const struct stack_code code = {library.file.at + library.code->p_offset,
                                        library.code->p_vaddr, library.code->p_filesz,
                                        read_constant, &library};
        struct stack_track *track = stack_track_open(&code);
        if (track != NULL)
            add_functions(&library, track);
        why = track == NULL || !stack_track_run(track) ? strerror(ENOMEM)
                                                       : put_frames(&library, track);
        stack_track_close(track);
    }
    if (why == NULL)
        why = write_file(out, &library.file);
    free(library.file.at);
    return why;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: pyperf-unwind LIBRARY OUT\n");
        return 2;
    }
    const char *why = make(argv[1], argv[2]);
    if (why != NULL)
        fprintf(stderr, "pyperf-unwind: %s: %s\n", argv[1], why);
    return why != NULL;
}
