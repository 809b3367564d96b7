/* read_at.h - pread(2) by lseek and read, which CPython makes itself: a seccomp filter may kill a process that makes
 * a system call the program never makes, and before glibc 2.32 not even the loader calls pread. */
#ifndef PYPERF_READ_AT_H
#define PYPERF_READ_AT_H

#include <sys/types.h>
#include <unistd.h>

/* As pread(2), but the descriptor's offset moves: for files that this function's caller has opened. */
static inline ssize_t read_at(int fd, void *bytes, size_t size, off_t offset)
{
    return lseek(fd, offset, SEEK_SET) == offset ? read(fd, bytes, size) : -1;
}

#endif
