#include "preload/attach/maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_MAX = 64 << 20 }; /* of some 500,000 mappings */

/* "start-end rwxp offset device inode   path": a line may have no path. */
static bool parse_line(char *line, struct region *region)
{
    char rights[5];
    int path = 0;
    unsigned long long start, end, offset;
    if (sscanf(line, "%llx-%llx %4s %llx %*s %*s %n", &start, &end, rights, &offset, &path) != 4 ||
        path == 0 || start >= end)
        return false;
    *region = (struct region){
        start, end, offset, rights[0] == 'r', rights[1] == 'w', rights[2] == 'x', line + path};
    return true;
}

bool maps_parse(const char *text, struct maps *maps)
{
    size_t lines = 0;
    for (const char *at = text; *at != '\0'; at++)
        lines += *at == '\n';
    size_t size = strlen(text) + 1;
    *maps =
        (struct maps){.paths = malloc(size), .regions = calloc(lines + 1, sizeof *maps->regions)};
    if (maps->paths == NULL || maps->regions == NULL) {
        maps_free(maps);
        errno = ENOMEM;
        return false;
    }
    memcpy(maps->paths, text, size);
    for (char *line = maps->paths, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        maps->count += parse_line(line, &maps->regions[maps->count]);
    }
    return true;
}

bool maps_read(pid_t pid, struct maps *maps)
{
    char path[64];
    *maps = (struct maps){.count = 0};
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t used = 0, room = 1 << 18;
    char *text = malloc(room);
    ssize_t got = 1;
    while (text != NULL && got > 0 && used < TEXT_MAX) {
        got = read(fd, text + used, room - used - 1);
        used += got > 0 ? (size_t)got : 0;
        if (room - used < 8192) {
            char *larger = realloc(text, room *= 2);
            if (larger == NULL)
                free(text);
            text = larger;
        }
    }
    int error = text == NULL ? ENOMEM : errno;
    close(fd);
    bool good = text != NULL && got == 0;
    if (good) {
        text[used] = '\0';
        good = maps_parse(text, maps);
        error = errno;
    }
    free(text);
    errno = error;
    return good;
}

void maps_free(struct maps *maps)
{
    free(maps->paths);
    free(maps->regions);
    *maps = (struct maps){.count = 0};
}

const struct region *maps_at(const struct maps *maps, uint64_t address)
{
    for (size_t i = 0; i < maps->count; i++)
        if (address >= maps->regions[i].start && address < maps->regions[i].end)
            return &maps->regions[i];
    return NULL;
}

const struct region *maps_next_object(const struct maps *maps, size_t *index)
{
    enum { PARTS = 16 }; /* regions of one object that are looked at */
    for (size_t i = *index; i < maps->count; i++) {
        const struct region *first = &maps->regions[i];
        if (first->offset != 0 || first->path[0] == '\0' || !first->readable ||
            first->path[0] == '[')
            continue;
        for (size_t j = i; j < maps->count && j < i + PARTS; j++) {
            if (!maps->regions[j].executable || strcmp(maps->regions[j].path, first->path) != 0)
                continue;
            *index = i + 1;
            return first;
        }
    }
    return NULL;
}

const char *maps_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}
