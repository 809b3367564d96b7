#include "trampoline/base/mapping.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum { FIELDS = 5, FIELDS_LENGTH = 128 };

/* The kernel writes a newline within a path as \012 (fs/proc/task_mmu.c, show_map_vma). */
static void copy_path(char *path, const char *text)
{
    static const char newline[] = "\\012";
    size_t length = 0;
    while (*text != '\0' && *text != '\n' && length < PATH_MAX - 1) {
        bool escaped = strncmp(text, newline, sizeof newline - 1) == 0;
        path[length++] = escaped ? '\n' : *text;
        text += escaped ? sizeof newline - 1 : 1;
    }
    path[length] = '\0';
}

bool mapping_find(const void *address, struct mapping *mapping)
{
    char line[FIELDS_LENGTH + PATH_MAX];
    uintptr_t end_below = 0;
    bool found = false, at_start = true;
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL)
        return false;
    mapping->end = 0;
    while (!found && fgets(line, sizeof line, maps) != NULL) {
        int path = 0;
        bool whole = strchr(line, '\n') != NULL;
        mapping->end_below = end_below;
        if (at_start &&
            sscanf(line, "%lx-%lx %*s %*s %x:%x %lu %n", &mapping->start, &mapping->end,
                   &mapping->device_major, &mapping->device_minor, &mapping->inode,
                   &path) == FIELDS &&
            (uintptr_t)address - mapping->start < mapping->end - mapping->start) {
            copy_path(mapping->path, line + path);
            found = true;
        }
        end_below = mapping->end;
        at_start = whole;
    }
    fclose(maps);
    if (!found)
        errno = 0;
    return found;
}

bool mapping_is_of(const struct mapping *mapping, int file)
{
    struct mapping another;
    /* The mapping is never read: the file may be shorter than a page. */
    void *page = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, file, 0);
    if (page == MAP_FAILED)
        return false;
    bool found = mapping_find(page, &another);
    int error = found ? 0 : errno;
    munmap(page, 1);
    errno = error;
    return found && mapping->inode != 0 && another.inode == mapping->inode &&
           another.device_major == mapping->device_major &&
           another.device_minor == mapping->device_minor;
}
