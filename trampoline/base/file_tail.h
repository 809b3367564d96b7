/* file_tail.h - bytes appended to a region of a file, through a mapped window that moves along:
 *
 *     ... region: f.py\0py::g:f.py\0.................................
 *                              ^ length          ^ reserved
 *                        |<------ window ------------>|
 *
 * What is stored there is in the file at once, for every reader and also after SIGKILL, and costs no
 * system call. Such a store cannot fail but by a signal, so it goes only to where the file has been
 * made sure of: up to `reserved`, which the owner of the region moves, in its own way, while it has
 * the file open (own_file.h). Where no reservation is to be relied on
 * (own_file_is_copied_on_write), there is no window, and each append is a write.
 *
 * Functions that can fail return 0 or an errno value, and have changed nothing then. */
#ifndef PYPERF_FILE_TAIL_H
#define PYPERF_FILE_TAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct file_tail {
    off_t length;    /* where the next bytes go, counted from the beginning of the file */
    off_t reserved;  /* up to here a store is safe */
    uint8_t *window; /* mapping of window_size bytes at window_start; NULL: there is none */
    off_t window_start;
    size_t window_size;
};

/* To move a window costs a page fault for each page that is touched again; address space costs
 * nothing. */
enum { FILE_TAIL_WINDOW = 512 << 10 };

/* Whether so many bytes can be stored in the window. */
bool file_tail_has_room(const struct file_tail *tail, size_t size);

/* Moves the window, so that it holds all from `length` to `reserved`. `fd` is used for the first one
 * only; later ones are of the same name in /proc/PID/maps. */
int file_tail_show(struct file_tail *tail, int fd);

/* Puts bytes `skip` bytes behind `length`, which stays. In a window there is room for them; without
 * one they are written to `fd`. */
int file_tail_put(const struct file_tail *tail, int fd, size_t skip, const void *bytes,
                  size_t size);

/* Unmaps the window. */
void file_tail_drop(struct file_tail *tail);

#endif
