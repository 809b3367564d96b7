#include "jitdump/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "trampoline/base/clock.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/process_identity.h"
#include "trampoline/base/read_at.h"

enum {
    STEP = 4096,          /* bytes by which the file grows */
    A_MOMENT = 25000,     /* nanoseconds; a check of the file takes some 3000 */
    NUMBERS = 2 * 16 + 2, /* two 64-bit numbers in hexadecimal and their blanks */
};

/* The end of the last line: reserved newlines may follow. */
static off_t end_of_lines(int fd, off_t size)
{
    char block[STEP];
    while (size > 0) {
        size_t length = (size_t)(size % STEP != 0 ? size % STEP : STEP);
        if (read_at(fd, block, length, size - (off_t)length) != (ssize_t)length)
            return size;
        while (length > 0 && block[length - 1] == '\n') {
            length--;
            size--;
        }
        if (length > 0)
            return size + 1; /* and its own newline */
    }
    return 0;
}

/* Writes newlines from the end of the file to `end`. After a partial write the next check of the
 * file sees what was written. */
static int put_newlines(struct file_tail *tail, int fd, off_t end)
{
    char newlines[STEP];
    int error = 0;
    memset(newlines, '\n', sizeof newlines);
    while (error == 0 && tail->reserved < end) {
        off_t length = end - tail->reserved < STEP ? end - tail->reserved : STEP;
        error = own_file_write(fd, newlines, (size_t)length, tail->reserved);
        if (error == 0)
            tail->reserved += length;
    }
    return error;
}

/* Whether no other process has written behind our last line, as far as the window shows. (Another
 * libpyperf stores through a mapping, which need not show in size or time.) */
static bool is_shown_end(const struct perf_map *map)
{
    const struct file_tail *tail = &map->tail;
    off_t at = tail->length - tail->window_start;
    return tail->window == NULL || tail->length >= tail->reserved ||
           at >= (off_t)tail->window_size || tail->window[at] == '\n';
}

/* The same; reads the file where the window does not reach. */
static bool is_end(const struct perf_map *map, int fd)
{
    char byte = '\n';
    off_t at = map->tail.length - map->tail.window_start;
    if (map->tail.window != NULL && at < (off_t)map->tail.window_size)
        return is_shown_end(map);
    return read_at(fd, &byte, 1, map->tail.length) < 0 || byte == '\n';
}

/* Makes room for `needed` bytes behind the last line, which may lack its newline. */
static int make_room(struct perf_map *map, int fd, off_t needed)
{
    struct file_tail *tail = &map->tail;
    if (map->written)
        return put_newlines(tail, fd, tail->length);
    if (file_tail_has_room(tail, (size_t)needed))
        return 0;
    int error = put_newlines(tail, fd, (tail->length + needed + STEP - 1) / STEP * STEP);
    return error != 0 ? error : file_tail_show(tail, fd);
}

/* Opens the file, checks that it is still ours and complete, and makes room. */
static int look_at_file(struct perf_map *map, off_t needed, int *fd)
{
    struct stat status;
    struct file_tail *tail = &map->tail;
    int error = own_file_open_again(&map->file, map->path, fd, &status);
    if (error == 0 && status.st_size < tail->reserved)
        error = ESTALE;
    if (error != 0)
        return error;
    map->checked_at = clock_now();
    if (status.st_size > tail->reserved || !is_end(map, *fd)) {
        off_t end = end_of_lines(*fd, status.st_size);
        tail->length = end > tail->length ? end : tail->length;
        tail->reserved = status.st_size;
    }
    debug_log(map, 3, "%s: checked, %ld bytes", map->path, (long)tail->length);
    return make_room(map, *fd, needed);
}

/* Opens the file. One that an earlier process has left is replaced. */
static int open_own(struct perf_map *map, int *fd, struct stat *status)
{
    int error = own_file_create(&map->file, map->path, 0, fd, status);
    if (error != 0 || status->st_size == 0 || !process_is_younger_than(status->st_mtim.tv_sec))
        return error;
    close(*fd);
    /* Not truncated: a process that has it mapped would get a SIGBUS. */
    own_file_remove(&map->file, map->path);
    return own_file_create(&map->file, map->path, O_EXCL, fd, status);
}

int perf_map_open(struct perf_map *map, const char *directory, pid_t pid)
{
    int saved = errno, fd = -1;
    struct stat status;
    memset(map, 0, sizeof *map);
    int length = snprintf(map->path, sizeof map->path, "%s/perf-%d.map", directory, (int)pid);
    if (length >= (int)sizeof map->path)
        return ENAMETOOLONG;
    int error = open_own(map, &fd, &status);
    if (error == 0) {
        map->written = own_file_is_copied_on_write(fd);
        map->tail.length = end_of_lines(fd, status.st_size);
        map->tail.reserved = status.st_size;
        map->open = true;
    }
    debug_log(map, 1, "%s: %s", map->path, error == 0 ? "opened" : strerrordesc_np(error));
    if (fd >= 0)
        close(fd);
    errno = saved;
    return error;
}

static size_t put_hex(char *out, uint64_t value)
{
    static const char digits[] = "0123456789abcdef";
    size_t count = value == 0 ? 1 : (67 - (size_t)__builtin_clzll(value)) / 4;
    for (size_t i = count; i-- > 0; value >>= 4)
        out[i] = digits[value & 15];
    return count;
}

/* Puts two pieces behind the last line, and a newline where the second ends a line. */
static int put(struct perf_map *map, int fd, const char *first, size_t count, const char *second,
               size_t length, bool ends)
{
    int error = file_tail_put(&map->tail, fd, 0, first, count);
    if (error == 0)
        error = file_tail_put(&map->tail, fd, count, second, length);
    if (error == 0 && ends && map->written) /* otherwise the store has already put it there */
        error = file_tail_put(&map->tail, fd, count + length, "\n", 1);
    if (error != 0 && ftruncate(fd, map->tail.length) != 0)
        return error; /* the next line overwrites what was written of this one */
    return error;
}

static void close_map(struct perf_map *map)
{
    file_tail_drop(&map->tail);
    map->open = false;
}

static int append(struct perf_map *map, const char *first, size_t count, const char *second,
                  size_t length, bool ends)
{
    const off_t needed = (off_t)(count + length + ends);
    int fd = -1, error = 0;
    if (!file_tail_has_room(&map->tail, (size_t)needed) ||
        clock_now() - map->checked_at > A_MOMENT || !is_shown_end(map))
        error = look_at_file(map, needed, &fd);
    if (error == 0)
        error = put(map, fd, first, count, second, length, ends);
    if (error == 0)
        map->tail.length += needed;
    if (error == 0 && map->written)
        map->tail.reserved = map->tail.length;
    if (fd >= 0)
        close(fd);
    if (error == ESTALE)
        close_map(map);
    return error;
}

int perf_map_append(struct perf_map *map, uintptr_t address, size_t size, const char *name,
                    size_t length)
{
    if (!map->open)
        return 0;
    int saved = errno;
    char numbers[NUMBERS];
    size_t n = put_hex(numbers, address);
    numbers[n++] = ' ';
    n += put_hex(numbers + n, size);
    numbers[n++] = ' ';
    int error = append(map, numbers, n, name, length, true);
    if (error != 0)
        debug_log(map, 1, "%s: %s", map->path, strerrordesc_np(error));
    errno = saved;
    return error;
}

/* Appends `size` bytes of another file. */
static int copy(struct perf_map *map, int from, off_t size)
{
    char block[STEP];
    off_t at = 0;
    int error = 0;
    while (error == 0 && at < size) {
        ssize_t n = read_at(from, block, size - at < STEP ? (size_t)(size - at) : STEP, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            error = n < 0 ? errno : 0;
            break; /* the other file was truncated meanwhile */
        }
        error = append(map, block, (size_t)n, "", 0, false);
        at += error == 0 ? n : 0;
    }
    /* The copy may lack its last newline: the next line begins one byte later. */
    if (map->open && at > 0 && (read_at(from, block, 1, at - 1) != 1 || *block != '\n'))
        map->tail.length++;
    return error;
}

int perf_map_copy(struct perf_map *map, const char *path)
{
    int saved = errno;
    struct stat status;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int error = fd < 0 || fstat(fd, &status) != 0 ? errno : 0;
    if (error == 0 && (!map->open || !S_ISREG(status.st_mode) ||
                       (status.st_uid != geteuid() && status.st_uid != 0)))
        error = EPERM;
    if (error == 0) {
        off_t end = end_of_lines(fd, status.st_size);
        error = copy(map, fd, end < status.st_size ? end : status.st_size);
    }
    if (fd >= 0)
        close(fd);
    errno = saved;
    return error;
}

void perf_map_finish(struct perf_map *map)
{
    int saved = errno, fd = -1;
    struct stat status;
    if (map->open && own_file_open_again(&map->file, map->path, &fd, &status) == 0) {
        /* Never lengthens the file (a last line of another process may lack its newline), and never
         * cuts lines of other processes. */
        off_t end = end_of_lines(fd, status.st_size);
        if (end < status.st_size && ftruncate(fd, end) != 0)
            errno = saved; /* on failure the empty lines stay, which is harmless */
    }
    if (fd >= 0)
        close(fd);
    close_map(map);
    errno = saved;
}

void perf_map_abandon(struct perf_map *map)
{
    file_tail_drop(&map->tail);
    memset(map, 0, sizeof *map);
}
