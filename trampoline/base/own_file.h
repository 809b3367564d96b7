/* own_file.h - a file of ours that is opened by its path for each use.
 *
 * No descriptor is kept, because a daemon closes all descriptors and opens its own under the same
 * numbers. Each use opens the file again by its path and compares device and inode, because it may
 * have been removed or replaced.
 *
 * Functions that return an int return 0 or an errno value. */
#ifndef PYPERF_OWN_FILE_H
#define PYPERF_OWN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

struct own_file {
    dev_t device;
    ino_t inode;
};

/* Opens `path` for reading and writing, with more flags of open(2); does not follow a link, wait
 * for a FIFO, or acquire a controlling terminal. A new file has mode 0600. Returns the descriptor,
 * or -1 with errno. */
int own_file_open(const char *path, int flags);

static inline struct own_file own_file_of(const struct stat *status)
{
    return (struct own_file){.device = status->st_dev, .inode = status->st_ino};
}

/* Whether it is a regular file of the effective user with one link. */
bool own_file_is_safe(const struct stat *status);

/* Opens or creates a file that is safe, with more flags of open(2). *fd is -1, or to be closed by the
 * caller, also after an error. EPERM: it is not safe. */
int own_file_create(struct own_file *file, const char *path, int flags, int *fd,
                    struct stat *status);

/* Opens the file again. ESTALE when the path no longer leads to it: it was removed or replaced, or
 * is not this user's any more. Every other error is transient. */
int own_file_open_again(const struct own_file *file, const char *path, int *fd,
                        struct stat *status);

/* Whether its path still leads to it; does not open it. */
bool own_file_is_there(const struct own_file *file, const char *path, struct stat *status);

/* Removes it, if its path still leads to it. */
void own_file_remove(const struct own_file *file, const char *path);

/* Writes all bytes. Returns EFBIG instead of raising SIGXFSZ beyond RLIMIT_FSIZE, and ENOSPC if a
 * write takes nothing. On an error some of the bytes may have been written. */
int own_file_write(int fd, const void *bytes, size_t length, off_t offset);

/* Whether RLIMIT_FSIZE allows such a length: 0 or EFBIG. */
int own_file_may_reach(off_t end);

/* Whether the file system copies on write, or may do so. There a store through a mapping can fail
 * for lack of space, with SIGBUS, even into a reserved block. */
bool own_file_is_copied_on_write(int fd);

#endif
