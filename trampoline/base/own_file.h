/* own_file.h - a file of ours that is known by its path, and open only for a moment.
 *
 * No descriptor is kept, because descriptors are the program's: a daemon closes all of them and
 * opens its own under the same numbers. Whoever needs the file opens it again by its path, and
 * compares device and inode: somebody may have removed it or put another one in its place.
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

/* Opens `path` for reading and writing, with further flags of open(2), and without following a link,
 * waiting for a pipe, or becoming a terminal's process; mode 0600 when it is made. Returns the
 * descriptor, or -1 with errno. */
int own_file_open(const char *path, int flags);

static inline struct own_file own_file_of(const struct stat *status)
{
    return (struct own_file){.device = status->st_dev, .inode = status->st_ino};
}

/* Whether it is a regular file of the effective user that has no other name. */
bool own_file_is_safe(const struct stat *status);

/* Opens the file again. ESTALE when it can no longer be had under this path: it is gone, another
 * one, or not this user's any more. Every other error is of the moment. */
int own_file_open_again(const struct own_file *file, const char *path, int *fd,
                        struct stat *status);

/* Removes it, if it is still the one that is meant. */
void own_file_remove(const struct own_file *file, const char *path);

/* Writes all bytes. EFBIG rather than the signal that the kernel sends beyond RLIMIT_FSIZE; ENOSPC
 * for what does not fit. Some of the bytes may have been written then. */
int own_file_write(int fd, const void *bytes, size_t length, off_t offset);

/* Whether the file may become so long: 0 or EFBIG. */
int own_file_may_reach(off_t end);

/* Whether the file system writes changed blocks to another place, or may do so. There a store
 * through a mapping can fail for lack of space, with SIGBUS, into a block that is reserved as well. */
bool own_file_is_copied_on_write(int fd);

#endif
