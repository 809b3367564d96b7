#include "preload/sampler/sample_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/sampler/proc_file.h"
#include "preload/sampler/sample_refusal.h"
#include "trampoline/base/clock.h"
#include "trampoline/base/kept_files.h"
#include "trampoline/base/lock.h"
#include "trampoline/base/own_file.h"

/* System calls are made directly: a libc's open and read are points at which a thread may be
 * cancelled. */

enum {
    LIMIT = 64 << 20, /* bytes of a file */
    SEGMENTS = LIMIT / SAMPLE_SEGMENT,
    NAME_TRIES = 64,
};

static struct sample_file {
    const char *directory;
    struct lock lock; /* of the thread that makes the file or a segment */
    uint32_t ready;   /* the header is there */
    struct own_file own;
    char path[PATH_MAX];
    uint8_t *segments[SEGMENTS];
    struct sample_header *header; /* the beginning of the first segment */
} file;

static struct kept_file few[16];
static struct kept_files kept = {.files = few, .room = sizeof few / sizeof *few};

bool sample_file_start(const char *directory, struct failure *why)
{
    enum { FLAGS = O_DIRECTORY | O_CLOEXEC };
    long fd = syscall(SYS_openat, AT_FDCWD, directory, O_RDONLY | FLAGS, 0);
    /* One of another user may not be listed. (Before Linux 3.12, O_PATH is too little.) */
    if (fd < 0 && errno == EACCES)
        fd = syscall(SYS_openat, AT_FDCWD, directory, O_PATH | FLAGS, 0);
    if (fd < 0)
        return failure_set(why, FAILURE_SAMPLE_FILE, errno, "%s", directory);
    bool copied = own_file_is_copied_on_write((int)fd);
    syscall(SYS_close, fd);
    if (copied)
        return failure_set(why, FAILURE_SAMPLE_FILE, 0,
                           "%s is on a file system that copies on write, where a store can fail: "
                           "set PYPERF_DIR to "
                           "another folder, such as /dev/shm",
                           directory);
    file.directory = directory;
    return true;
}

/* Reserves and maps a segment of the open file. */
static uint8_t *map_segment(int fd, uint32_t index)
{
    off_t start = (off_t)index * SAMPLE_SEGMENT;
    static const uint8_t zeros[4096];
    if ((errno = own_file_may_reach(start + SAMPLE_SEGMENT)) != 0)
        return NULL;
    if (syscall(SYS_fallocate, fd, 0, start, (off_t)SAMPLE_SEGMENT) != 0) {
        if (errno != EOPNOTSUPP && errno != ENOSYS)
            return NULL;
        if (lseek(fd, start, SEEK_SET) != start)
            return NULL;
        for (size_t done = 0; done < SAMPLE_SEGMENT; done += sizeof zeros)
            if (syscall(SYS_write, fd, zeros, sizeof zeros) != sizeof zeros)
                return NULL;
    }
    void *memory = (void *)syscall(SYS_mmap, NULL, SAMPLE_SEGMENT, PROT_READ | PROT_WRITE,
                                   MAP_SHARED, fd, start);
    return memory == MAP_FAILED ? NULL : memory;
}

static char *put_text(char *out, const char *text)
{
    while (*text != '\0' && out < file.path + sizeof file.path - 64)
        *out++ = *text++;
    return out;
}

/* pyperf-PID-XXXXXX.samples, with six characters of the time, without a libc's printf. */
static void make_name(uint64_t time)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char *out = put_text(put_text(file.path, file.directory), "/pyperf-");
    out = put_text(put_decimal(out, (uint32_t)syscall(SYS_getpid)), "-");
    for (int i = 0; i < 6; i++, time /= 36)
        *out++ = letters[time % 36];
    *put_text(out, ".samples") = '\0';
}

static long create(void)
{
    for (uint64_t i = 0; i < NAME_TRIES; i++) {
        make_name(clock_now() + i);
        long fd = syscall(SYS_openat, AT_FDCWD, file.path,
                          O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static void fill_header(struct sample_header *header, uint32_t python, uint64_t period)
{
    header->length = SAMPLE_HEADER;
    header->pid = (uint32_t)syscall(SYS_getpid);
    header->parent = (uint32_t)syscall(SYS_getppid);
    header->python = python;
    header->period = period;
    header->began = clock_read(CLOCK_MONOTONIC);
    header->began_utc = clock_read(CLOCK_REALTIME);
    header->limit = LIMIT;
    /* Until the end: the CPU time at the beginning. */
    header->used = clock_read(CLOCK_PROCESS_CPUTIME_ID);
    thread_name(header->pid, header->name);
    /* Last: without it the file counts for nothing. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memcpy(header->magic, SAMPLE_MAGIC, sizeof header->magic);
}

static bool make(uint32_t python, uint64_t period)
{
    struct stat status;
    long fd = kept_files_make_room(&kept, file.directory) ? create() : -1;
    if (fd < 0)
        return false;
    uint8_t *first = fstat((int)fd, &status) != 0 ? NULL : map_segment((int)fd, 0);
    int error = errno;
    syscall(SYS_close, fd);
    if (first == NULL) {
        syscall(SYS_unlinkat, AT_FDCWD, file.path, 0);
        errno = error;
        return false;
    }
    file.own = own_file_of(&status);
    kept_files_add(&kept, &file.own, strrchr(file.path, '/') + 1);
    file.segments[0] = first;
    file.header = (struct sample_header *)first;
    fill_header(file.header, python, period);
    __atomic_store_n(&file.ready, 1, __ATOMIC_RELEASE);
    return true;
}

bool sample_file_open(uint32_t python, uint64_t period)
{
    if (__atomic_load_n(&file.ready, __ATOMIC_ACQUIRE))
        return true;
    if (!lock_take_within(&file.lock, 0))
        return false;
    bool made = file.ready || make(python, period);
    if (!made)
        sample_refusal_tell(file.directory, errno);
    lock_release(&file.lock);
    return made;
}

bool sample_file_is_watched(void)
{
    if (!__atomic_load_n(&file.ready, __ATOMIC_ACQUIRE))
        return false;
    __atomic_fetch_or(&file.header->flags, SAMPLE_WATCHED, __ATOMIC_RELAXED);
    return true;
}

bool sample_file_is_name(const char name[THREAD_NAME])
{
    return memcmp(name, file.header->name, THREAD_NAME) == 0;
}

bool sample_file_is_older(uint64_t span, uint64_t now)
{
    if (!__atomic_load_n(&file.ready, __ATOMIC_ACQUIRE))
        return false;
    uint64_t began = file.header->began; /* by another thread, it may be later than `now` */
    return now > began && now - began >= span;
}

/* own_file_open_again, with system calls alone. Returns the descriptor, or -1. */
static long open_again(void)
{
    struct stat status;
    long fd = syscall(SYS_openat, AT_FDCWD, file.path,
                      O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0 || (fstat((int)fd, &status) == 0 && status.st_dev == file.own.device &&
                   status.st_ino == file.own.inode))
        return fd;
    syscall(SYS_close, fd);
    return -1;
}

/* Maps a segment, unless another thread does so. */
static void add_segment(uint32_t index)
{
    if (index >= SEGMENTS || __atomic_load_n(&file.segments[index], __ATOMIC_RELAXED) != NULL ||
        !lock_take_within(&file.lock, 0))
        return;
    long fd = file.segments[index] == NULL ? open_again() : -1;
    if (fd >= 0) {
        __atomic_store_n(&file.segments[index], map_segment((int)fd, index), __ATOMIC_RELEASE);
        syscall(SYS_close, fd);
    }
    lock_release(&file.lock);
}

static void *record_at(uint64_t offset)
{
    uint8_t *segment = __atomic_load_n(&file.segments[offset / SAMPLE_SEGMENT], __ATOMIC_ACQUIRE);
    return segment == NULL ? NULL : segment + offset % SAMPLE_SEGMENT;
}

/* Fills up the rest of a segment, for a record that does not fit; whoever moves `length` does
 * so. */
static void pad(uint64_t offset, uint64_t size)
{
    uint32_t *record = size == 0 ? NULL : record_at(offset);
    if (record != NULL)
        __atomic_store_n(record, SAMPLE_HEAD(SAMPLE_PADDING, size), __ATOMIC_RELEASE);
}

void *sample_file_room(size_t size, uint32_t *id)
{
    size = (size + 7) & ~(size_t)7;
    uint64_t at, start, length = __atomic_load_n(&file.header->length, __ATOMIC_RELAXED);
    do {
        at = start = length;
        if (at % SAMPLE_SEGMENT + size > SAMPLE_SEGMENT)
            start = (at / SAMPLE_SEGMENT + 1) * SAMPLE_SEGMENT;
        if (start % SAMPLE_SEGMENT >= SAMPLE_SEGMENT / 2)
            add_segment((uint32_t)(start / SAMPLE_SEGMENT) + 1);
        if (start + size > LIMIT || record_at(start) == NULL) {
            add_segment((uint32_t)(start / SAMPLE_SEGMENT));
            return NULL;
        }
    } while (!__atomic_compare_exchange_n(&file.header->length, &length, start + size, true,
                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    pad(at, start - at);
    uint32_t *record = record_at(start);
    __atomic_store_n(record, SAMPLE_HEAD(SAMPLE_UNFINISHED, size), __ATOMIC_RELAXED);
    *id = (uint32_t)(start / 8);
    return record;
}

void sample_file_done(void *record, enum sample_type type, size_t size)
{
    __atomic_store_n((uint32_t *)record, SAMPLE_HEAD(type, (size + 7) & ~(size_t)7),
                     __ATOMIC_RELEASE);
}

const void *sample_file_record(uint32_t id)
{
    return record_at((uint64_t)id * 8);
}

void sample_file_lost(uint32_t weight)
{
    if (__atomic_load_n(&file.ready, __ATOMIC_ACQUIRE))
        __atomic_fetch_add(&file.header->lost, weight, __ATOMIC_RELAXED);
}

/* A child that is forked meanwhile must not unmap what is not there any more. */
static void unmap(void)
{
    file.ready = 0;
    file.header = NULL;
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        uint8_t *segment = __atomic_exchange_n(&file.segments[i], NULL, __ATOMIC_SEQ_CST);
        if (segment != NULL)
            syscall(SYS_munmap, segment, (size_t)SAMPLE_SEGMENT);
    }
}

void sample_file_finish(void)
{
    if (!file.ready)
        return;
    struct sample_header *header = file.header;
    off_t length = (off_t)header->length;
    header->ended = clock_read(CLOCK_MONOTONIC);
    header->used = clock_read(CLOCK_PROCESS_CPUTIME_ID) - header->used;
    __atomic_fetch_or(&header->flags, SAMPLE_WHOLE, __ATOMIC_RELEASE);
    unmap();
    long fd = open_again();
    if (fd < 0)
        return;
    /* If that fails, the file stays as long as it was: `length` says how much of it counts. */
    syscall(SYS_ftruncate, fd, length);
    syscall(SYS_close, fd);
}

/* Memory for more than a few, which hardly any program needs. */
static void make_room(void)
{
    void *memory = mmap(NULL, SAMPLE_FILES_KEPT * sizeof(struct kept_file), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return;
    kept.files = (struct kept_file *)memory;
    kept.room = SAMPLE_FILES_KEPT;
}

void sample_file_keep(uint32_t most)
{
    if (most > kept.room && kept.count == 0)
        make_room();
    kept.most = most < kept.room ? most : kept.room;
}

void sample_file_forget_kept(void)
{
    kept_files_forget(&kept);
}

void sample_file_forget(void)
{
    unmap();
    lock_reset(&file.lock);
}
