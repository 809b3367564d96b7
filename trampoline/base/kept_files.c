#include "trampoline/base/kept_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Whether the file is not there any more: it is removed, unless another one is in its place. What
 * the user that the process has become may not remove (EPERM: the folder is sticky) counts as gone,
 * too. All other errors are transient. */
static bool is_gone(int directory, const struct kept_file *file)
{
    struct stat status;
    long fd = syscall(SYS_openat, directory, file->name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (fd < 0)
        return errno == ENOENT;
    bool gone = fstat((int)fd, &status) == 0;
    if (gone && status.st_dev == file->own.device && status.st_ino == file->own.inode)
        gone = syscall(SYS_unlinkat, directory, file->name, 0) == 0 || errno == ENOENT ||
               errno == EPERM;
    syscall(SYS_close, fd);
    return gone;
}

static bool remove_file(const char *path, const struct kept_file *file)
{
    long directory = syscall(SYS_openat, AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    if (directory < 0)
        return false;
    bool gone = is_gone((int)directory, file);
    syscall(SYS_close, directory);
    return gone;
}

bool kept_files_make_room(struct kept_files *kept, const char *directory)
{
    while (kept->most != 0 && kept->count >= kept->most) {
        if (!remove_file(directory, &kept->files[kept->first]))
            return false;
        kept->first = (kept->first + 1) % kept->room;
        kept->count--;
    }
    return true;
}

void kept_files_add(struct kept_files *kept, const struct own_file *file, const char *name)
{
    if (kept->most == 0 || strlen(name) >= KEPT_FILES_NAME)
        return;
    struct kept_file *added = &kept->files[(kept->first + kept->count++) % kept->room];
    added->own = *file;
    strcpy(added->name, name);
}

void kept_files_forget(struct kept_files *kept)
{
    kept->count = kept->first = 0;
}
