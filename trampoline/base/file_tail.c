#include "trampoline/base/file_tail.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trampoline/base/own_file.h"

bool file_tail_has_room(const struct file_tail *tail, size_t size)
{
    off_t end = tail->length + (off_t)size;
    return tail->window != NULL && end <= tail->reserved &&
           end <= tail->window_start + (off_t)tail->window_size;
}

/* Grows the window with mremap and unmaps what is before the tail: unlike mmap this needs no
 * descriptor, and the mapping keeps its name. */
static int move_window(struct file_tail *tail, off_t start, off_t end)
{
    uint8_t *window =
        mremap(tail->window, tail->window_size, (size_t)(end - tail->window_start), MREMAP_MAYMOVE);
    if (window == MAP_FAILED)
        return errno;
    size_t passed = (size_t)(start - tail->window_start);
    if (passed > 0)
        munmap(window, passed);
    tail->window = window + passed;
    return 0;
}

int file_tail_show(struct file_tail *tail, int fd)
{
    const off_t page = sysconf(_SC_PAGESIZE);
    off_t start = tail->length / page * page, end = start + FILE_TAIL_WINDOW;
    if (end < tail->reserved)
        end = (tail->reserved + page - 1) / page * page;
    if (tail->window != NULL) {
        if (tail->reserved <= tail->window_start + (off_t)tail->window_size)
            return 0;
        int error = move_window(tail, start, end);
        if (error != 0)
            return error;
    } else {
        uint8_t *window =
            mmap(NULL, (size_t)(end - start), PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
        if (window == MAP_FAILED)
            return errno;
        /* Otherwise the first fault on a page makes the kernel read ahead in the reserved, empty
         * blocks: 0.5 ms on ext4. */
        madvise(window, (size_t)(end - start), MADV_RANDOM);
        tail->window = window;
    }
    tail->window_start = start;
    tail->window_size = (size_t)(end - start);
    return 0;
}

int file_tail_put(const struct file_tail *tail, int fd, size_t skip, const void *bytes, size_t size)
{
    off_t at = tail->length + (off_t)skip;
    if (tail->window == NULL)
        return own_file_write(fd, bytes, size, at);
    memcpy(tail->window + (at - tail->window_start), bytes, size);
    return 0;
}

void file_tail_drop(struct file_tail *tail)
{
    if (tail->window != NULL)
        munmap(tail->window, tail->window_size);
    tail->window = NULL;
}
