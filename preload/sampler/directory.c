#include "preload/sampler/directory.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/dirent.h: struct linux_dirent64 */
struct entry {
    uint64_t inode;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

bool directory_open(struct directory *directory, const char *path)
{
    directory->size = directory->at = 0;
    directory->fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    return directory->fd >= 0;
}

/* False for "." and "..". */
static bool read_number(const char *name, uint32_t *number)
{
    *number = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        *number = *number * 10 + (uint32_t)(*name - '0');
    return *name == '\0';
}

bool directory_next(struct directory *directory, uint32_t *number)
{
    for (;;) {
        if (directory->at >= directory->size) {
            directory->at = 0;
            directory->size = syscall(SYS_getdents64, directory->fd, directory->entries,
                                      sizeof directory->entries);
            if (directory->size <= 0)
                return false;
        }
        const struct entry *entry = (const struct entry *)(directory->entries + directory->at);
        directory->at += entry->size;
        if (read_number(entry->name, number))
            return true;
    }
}

bool directory_is_whole(const struct directory *directory)
{
    return directory->size == 0;
}

void directory_rewind(struct directory *directory)
{
    directory->size = directory->at = 0;
    syscall(SYS_lseek, directory->fd, 0, SEEK_SET);
}

void directory_close(struct directory *directory)
{
    syscall(SYS_close, directory->fd);
    directory->fd = -1;
}
