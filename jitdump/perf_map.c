#include "jitdump/perf_map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "trampoline/base/debug.h"

enum {
    PAGE = 4096,
    WINDOW = 64 << 10,
    A_MOMENT = 25000,     /* nanoseconds; to look costs some 3000 */
    NUMBERS = 2 * 16 + 2, /* two 64-bit numbers in hexadecimal and their blanks */
};

static int open_file(const char *path, int flags)
{
    return open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags, 0600);
}

/* Where the last line ends: a predecessor with our pid may have left newlines behind it. */
static off_t end_of_lines(int fd, off_t size)
{
    char block[PAGE];
    while (size > 0) {
        size_t length = (size_t)(size % PAGE != 0 ? size % PAGE : PAGE);
        if (pread(fd, block, length, size - (off_t)length) != (ssize_t)length)
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

static bool has_room(const struct perf_map *map, off_t needed)
{
    return map->window != NULL && map->length + needed <= map->reserved &&
           map->length + needed <= map->window_start + (off_t)map->window_size;
}

/* Writes newlines from the end of the file to `end`, and moves the window there. */
static int reserve(struct perf_map *map, int fd, off_t end)
{
    struct rlimit limit; /* beyond it the kernel would send SIGXFSZ */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        (rlim_t)end > limit.rlim_cur)
        return EFBIG;
    char newlines[PAGE];
    memset(newlines, '\n', sizeof newlines);
    while (map->reserved < end) {
        size_t length = (size_t)(end - map->reserved);
        ssize_t n = pwrite(fd, newlines, length < PAGE ? length : PAGE, map->reserved);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        map->reserved += n;
    }
    if (map->window != NULL && end <= map->window_start + (off_t)map->window_size)
        return 0;

    off_t start = map->length & ~(off_t)(PAGE - 1);
    size_t size = end - start > WINDOW ? (size_t)(end - start) : WINDOW;
    char *window = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
    if (window == MAP_FAILED)
        return errno;
    if (map->window != NULL)
        munmap(map->window, map->window_size);
    map->window = window;
    map->window_start = start;
    map->window_size = size;
    return 0;
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Looks whether the file is there and whole, and makes room for `needed` bytes where there is none.
 */
static int look_at_file(struct perf_map *map, off_t needed)
{
    struct stat status;
    int fd = open_file(map->path, 0);
    if (fd < 0)
        return errno;
    int error = 0;
    map->checked_at = now();
    if (fstat(fd, &status) != 0)
        error = errno;
    else if (status.st_dev != map->device || status.st_ino != map->inode ||
             status.st_size < map->reserved)
        error = ESTALE; /* somebody else's now, or truncated */
    else if (!has_room(map, needed))
        error = reserve(map, fd, (map->length + needed + PAGE - 1) & ~(off_t)(PAGE - 1));
    debug_log(map, 3, "%s: looked at, %ld bytes", map->path, (long)map->length);
    close(fd);
    return error;
}

int perf_map_open(struct perf_map *map, const char *directory, pid_t pid)
{
    int saved = errno, error = 0;
    memset(map, 0, sizeof *map);
    int length = snprintf(map->path, sizeof map->path, "%s/perf-%d.map", directory, (int)pid);
    if (length >= (int)sizeof map->path)
        return ENAMETOOLONG;
    struct stat status;
    int fd = open_file(map->path, O_CREAT);
    if (fd < 0 || fstat(fd, &status) != 0) {
        error = errno;
    } else if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() || status.st_nlink != 1) {
        error = EPERM;
    } else {
        map->device = status.st_dev;
        map->inode = status.st_ino;
        map->reserved = status.st_size;
        map->length = end_of_lines(fd, status.st_size);
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

int perf_map_append(struct perf_map *map, uintptr_t address, size_t size, const char *name,
                    size_t length)
{
    if (!map->open)
        return 0;
    int saved = errno, error = 0;
    char numbers[NUMBERS];
    size_t n = put_hex(numbers, address);
    numbers[n++] = ' ';
    n += put_hex(numbers + n, size);
    numbers[n++] = ' ';
    off_t needed = (off_t)(n + length + 1);
    if (!has_room(map, needed) || now() - map->checked_at > A_MOMENT)
        error = look_at_file(map, needed);
    if (error == ENOENT || error == ELOOP) /* removed, or replaced */
        error = ESTALE;
    if (error != 0)
        debug_log(map, 1, "%s: %s", map->path, strerrordesc_np(error));
    if (error == ESTALE)
        perf_map_abandon(map);
    if (error == 0) {
        /* The newline is there already. */
        char *line = map->window + (map->length - map->window_start);
        memcpy(line, numbers, n);
        memcpy(line + n, name, length);
        map->length += needed;
    }
    errno = saved;
    return error;
}

static int append_bytes(struct perf_map *map, const char *bytes, size_t length)
{
    int error = look_at_file(map, (off_t)length + 1);
    if (error == 0) {
        memcpy(map->window + (map->length - map->window_start), bytes, length);
        map->length += (off_t)length;
    }
    return error;
}

int perf_map_copy(struct perf_map *map, const char *path)
{
    int saved = errno;
    struct stat status;
    char block[PAGE];
    off_t at = 0, end = 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int error = fd < 0 || fstat(fd, &status) != 0 ? errno : 0;
    if (error == 0 && (!S_ISREG(status.st_mode) || !map->open))
        error = EPERM;
    if (error == 0)
        end = end_of_lines(fd, status.st_size);
    while (error == 0 && at < end) {
        ssize_t n = pread(fd, block, end - at < PAGE ? (size_t)(end - at) : PAGE, at);
        if (n < 0 && errno == EINTR)
            continue;
        error = n < 0 ? errno : n == 0 ? ESTALE : append_bytes(map, block, (size_t)n);
        at += n;
    }
    if (fd >= 0)
        close(fd);
    errno = saved;
    return error;
}

void perf_map_finish(struct perf_map *map)
{
    if (!map->open)
        return;
    map->open = false;
    debug_log(map, 1, "%s: closed at %ld bytes", map->path, (long)map->length);
    int saved = errno;
    struct stat status;
    int fd = open_file(map->path, 0);
    if (fd >= 0) {
        /* Never longer: a last line that somebody left without its newline stays so. */
        if (fstat(fd, &status) == 0 && status.st_dev == map->device &&
            status.st_ino == map->inode && map->length < status.st_size &&
            ftruncate(fd, map->length) != 0)
            errno = saved; /* the empty lines stay, which is harmless */
        close(fd);
    }
    errno = saved;
}

void perf_map_abandon(struct perf_map *map)
{
    if (map->window != NULL)
        munmap(map->window, map->window_size);
    memset(map, 0, sizeof *map);
}
