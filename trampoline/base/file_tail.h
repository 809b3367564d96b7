/* file_tail.h - appends bytes to a region of a file, through a mapped window that moves along:
 *
 *     ... region: f.py\0py::g:f.py\0.................................
 *                              ^ length          ^ reserved
 *                        |<------ window ------------>|
 *
 * Stored bytes are in the file at once, for every reader and also after SIGKILL, without a system
 * call. A store can only fail by a signal, so it must lie below `reserved`, up to which blocks are
 * allocated. The owner of the region reserves blocks and moves `reserved`, while it has the file
 * open (own_file.h). Where a reservation guarantees nothing (own_file_is_copied_on_write), there is
 * no window, and each append is a write.
 *
 * Functions that can fail return 0 or an errno value, and change nothing on failure. */
#ifndef PYPERF_FILE_TAIL_H
#define PYPERF_FILE_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct file_tail {
    off_t length;    /* where the next bytes go: an offset in the file */
    off_t reserved;  /* up to here a store is safe */
    uint8_t *window; /* mapping of window_size bytes at window_start; NULL: there is none */
    off_t window_start;
    size_t window_size;
};

/* A moved window has a page fault for each page that is touched again; address space costs
 * nothing. */
enum { FILE_TAIL_WINDOW = 512 << 10 };

/* Whether the window has room for so many bytes. */
bool file_tail_has_room(const struct file_tail *tail, size_t size);

/* Moves the window, so that it covers all from `length` to `reserved`. Only the first call uses
 * `fd`; later windows have the same name in /proc/PID/maps. */
int file_tail_show(struct file_tail *tail, int fd);

/* Puts bytes `skip` bytes behind `length`, which is not changed. pre: a window has room for them.
 * Without a window they are written to `fd`. */
int file_tail_put(const struct file_tail *tail, int fd, size_t skip, const void *bytes,
                  size_t size);

/* Unmaps the window. */
void file_tail_drop(struct file_tail *tail);

#endif
