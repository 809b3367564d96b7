#include "trampoline/plan/elf_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trampoline/base/elf_mapped.h"
#include "trampoline/base/mapping.h"
#include "trampoline/base/read_at.h"
#include "trampoline/plan/elf_lookup.h"

enum { MOST_SEGMENTS = 64, MOST_NOTES = 4096 };

/* The first PT_LOAD holds the headers; programs replace only the text by huge pages. */
static bool find_mapping(const struct elf_object *object, struct mapping *mapping)
{
    for (size_t i = 0; i < object->segment_count; i++)
        if (object->segments[i].p_type == PT_LOAD)
            return mapping_find((const void *)(object->bias + object->segments[i].p_vaddr),
                                mapping);
    return false;
}

/* The build id by the program headers, as in memory. */
static size_t file_build_id(int file, uint8_t id[ELF_BUILD_ID_MAX])
{
    ElfW(Ehdr) header;
    ElfW(Phdr) segments[MOST_SEGMENTS];
    unsigned char notes[MOST_NOTES];
    if (read_at(file, &header, sizeof header, 0) != sizeof header ||
        memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phnum > MOST_SEGMENTS)
        return 0;
    size_t size = header.e_phnum * sizeof *segments, length = 0;
    if (read_at(file, segments, size, (off_t)header.e_phoff) != (ssize_t)size)
        return 0;
    for (size_t i = 0; i < header.e_phnum && length == 0; i++) {
        size = segments[i].p_filesz < sizeof notes ? segments[i].p_filesz : sizeof notes;
        if (segments[i].p_type == PT_NOTE &&
            read_at(file, notes, size, (off_t)segments[i].p_offset) == (ssize_t)size)
            length = elf_note_build_id(notes, size, segments[i].p_align, id);
    }
    return length;
}

static bool is_file_of(const struct elf_object *object, const struct mapping *mapping, int file)
{
    uint8_t id[ELF_BUILD_ID_MAX], other[ELF_BUILD_ID_MAX];
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    if (mapping_is_of(mapping, file))
        return true;
    size_t length = elf_mapped_build_id(object, id);
    return length > 0 && file_build_id(file, other) == length && memcmp(id, other, length) == 0;
}

/* Returns a descriptor of the object's file, -1 if no path leads to it. */
static int open_file(const struct elf_object *object, const struct mapping *mapping)
{
    static const char deleted[] = " (deleted)"; /* the kernel's suffix */
    char again[PATH_MAX], mapped[64];
    size_t length = strlen(mapping->path), suffix = sizeof deleted - 1;
    bool gone = length > suffix && strcmp(mapping->path + length - suffix, deleted) == 0;
    /* The file that has replaced it may have the same build id (reinstalled). */
    snprintf(again, sizeof again, "%.*s", (int)(gone ? length - suffix : 0), mapping->path);
    /* proc(5): the mapped file itself; needs CAP_CHECKPOINT_RESTORE */
    snprintf(mapped, sizeof mapped, "/proc/self/map_files/%lx-%lx", mapping->start, mapping->end);
    const char *const paths[] = {mapping->path, again, "/proc/self/exe", mapped};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        /* O_NONBLOCK: a FIFO must not wait for a writer. It means nothing to a regular file. */
        int file = open(paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (file >= 0 && is_file_of(object, mapping, file))
            return file;
        if (file >= 0)
            close(file);
    }
    return -1;
}

/* Searches the open file for the symbols that have no address yet. */
static bool look_for_rest(int file, const char *real_path, const char *debug_root,
                          struct elf_symbol *symbols, size_t count, struct failure *why)
{
    char path[32];
    struct elf_symbol *rest = calloc(count + 1, sizeof *rest); /* + 1: calloc(0) may be NULL */
    if (rest == NULL)
        return failure_set(why, FAILURE_MEMORY, ENOMEM, "%s", real_path);
    for (size_t i = 0; i < count; i++)
        rest[i].name = symbols[i].address == 0 ? symbols[i].name : NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    bool read = elf_lookup(path, real_path, debug_root, rest, count, why);
    for (size_t i = 0; i < count && read; i++)
        if (rest[i].name != NULL)
            symbols[i] = rest[i];
    if (!read && why != NULL)
        failure_set(why, why->code, why->sys_errno, "%.140s", real_path);
    free(rest);
    return read;
}

bool elf_files_lookup(const struct elf_object *object, const char *debug_root,
                      struct elf_symbol *symbols, size_t count, struct failure *why)
{
    int saved = errno;
    struct mapping mapping;
    bool read = false;
    if (!find_mapping(object, &mapping)) {
        failure_set(why, FAILURE_FILE, errno, "/proc/self/maps");
    } else {
        int file = open_file(object, &mapping);
        if (file < 0)
            failure_set(why, FAILURE_FILE_CHANGED, 0, "%.140s", mapping.path);
        else
            read = look_for_rest(file, mapping.path, debug_root, symbols, count, why);
        if (file >= 0)
            close(file);
    }
    errno = saved;
    return read;
}
