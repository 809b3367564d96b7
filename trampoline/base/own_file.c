#include "trampoline/base/own_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

int own_file_open(const char *path, int flags)
{
    return open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags, 0600);
}

bool own_file_is_safe(const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_uid == geteuid() && status->st_nlink == 1;
}

int own_file_create(struct own_file *file, const char *path, int flags, int *fd,
                    struct stat *status)
{
    *fd = own_file_open(path, O_CREAT | flags);
    if (*fd < 0 || fstat(*fd, status) != 0)
        return errno;
    *file = own_file_of(status);
    return own_file_is_safe(status) ? 0 : EPERM;
}

static bool is_same(const struct own_file *file, const struct stat *status)
{
    return status->st_dev == file->device && status->st_ino == file->inode;
}

/* The errors of open(2) that mean that the path no longer leads to our file; others are
 * transient. */
static bool is_of_the_path(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
    case EISDIR:
    case ENXIO:
    case ENODEV:
    case EACCES:
    case EPERM:
        return true;
    default:
        return false;
    }
}

int own_file_open_again(const struct own_file *file, const char *path, int *fd, struct stat *status)
{
    *fd = own_file_open(path, 0);
    int error = 0;
    if (*fd < 0)
        return is_of_the_path(errno) ? ESTALE : errno;
    if (fstat(*fd, status) != 0)
        error = errno;
    else if (!is_same(file, status))
        error = ESTALE;
    if (error != 0) {
        close(*fd);
        *fd = -1;
    }
    return error;
}

bool own_file_is_there(const struct own_file *file, const char *path, struct stat *status)
{
    return lstat(path, status) == 0 && is_same(file, status);
}

void own_file_remove(const struct own_file *file, const char *path)
{
    struct stat status;
    if (own_file_is_there(file, path, &status))
        unlink(path);
}

int own_file_may_reach(off_t end)
{
    struct rlimit limit; /* the signal is also sent when the file is longer already */
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
                   (rlim_t)end <= limit.rlim_cur
               ? 0
               : EFBIG;
}

int own_file_write(int fd, const void *bytes, size_t length, off_t offset)
{
    int error = own_file_may_reach(offset + (off_t)length);
    while (error == 0 && length > 0) {
        ssize_t n = pwrite(fd, bytes, length, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        bytes = (const char *)bytes + n;
        length -= (size_t)n;
        offset += n;
    }
    return error;
}

/* Of fs/bcachefs/super.c, and module/os/linux/zfs/zfs_vfsops.c in OpenZFS. */
enum { BCACHEFS_MAGIC = 0xCA451A4E, ZFS_MAGIC = 0x2FC12FC1 };

bool own_file_is_copied_on_write(int fd)
{
    struct statfs status;
    if (fstatfs(fd, &status) != 0)
        return true; /* when in doubt: write works on every file system */
    switch ((unsigned)status.f_type) {
    case BTRFS_SUPER_MAGIC:
    case (unsigned)BCACHEFS_MAGIC:
    case (unsigned)ZFS_MAGIC:
    case NILFS_SUPER_MAGIC:
        return true;
    case OVERLAYFS_SUPER_MAGIC:
        /* overlayfs: a container's files are on the lower file system, and statfs passes on its
         * values, but not its type. btrfs has no fixed number of files, and reports 0
         * (fs/btrfs/super.c, btrfs_statfs). */
        return status.f_files == 0;
    default:
        return false;
    }
}
