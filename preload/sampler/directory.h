/* directory.h - the numbers that a folder of /proc lists: threads, descriptors. By system calls
 * alone, for signal handlers and the watcher. */
#ifndef PYPERF_DIRECTORY_H
#define PYPERF_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

struct directory {
    long fd, size, at; /* size: of what was read, negative after a failure */
    _Alignas(8) char entries[2048];
};

/* False, with errno, if it cannot be opened. */
bool directory_open(struct directory *directory, const char *path);

/* The next number; false at the end, or after a failure (directory_is_whole). */
bool directory_next(struct directory *directory, uint32_t *number);
bool directory_is_whole(const struct directory *directory);

/* Back to the beginning; a folder of /proc is listed anew. */
void directory_rewind(struct directory *directory);

void directory_close(struct directory *directory);

#endif
