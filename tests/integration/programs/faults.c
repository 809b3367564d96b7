/* Makes the N-th call on libpyperf's behalf fail: preloaded before it.
 *
 * A call counts if a function of libpyperf.so is on the stack. That includes calls by
 * libpyperf-plan.so, libelf, capstone, the dynamic loader and the interpreter's own functions for
 * it, and none by the program itself, because hooks leave by a jump. The words of the stack are
 * checked first, because most calls have no address of libpyperf.so there and unwinding each of
 * them would take long.
 *
 *     FAULT_AT      N, from 1
 *     FAULT_KIND    "memory": what allocates; "calls": other functions of libc that can fail
 *     FAULT_REPORT  a file that gets the name of the failed function; a forked child continues
 *                   counting by itself, and adds its own line */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

enum { MEMORY = 'm', CALLS = 'c' };
enum { WORDS = 4096, FRAMES = 64 };

static uintptr_t first, last; /* text of libpyperf.so */
static long countdown;
static char kind;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static int find_text(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size, (void)data;
    const char *slash = strrchr(info->dlpi_name, '/');
    if (slash == NULL || strcmp(slash, "/libpyperf.so") != 0)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            first = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            last = first + info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

static int begin(void)
{
    static int begun;
    if (begun)
        return countdown > 0;
    begun = 1;
    const char *at = getenv("FAULT_AT"), *what = getenv("FAULT_KIND");
    dl_iterate_phdr(find_text, NULL);
    if (at == NULL || what == NULL || first == 0)
        return 0;
    kind = what[0];
    countdown = strtol(at, NULL, 10);
    return countdown > 0;
}

struct walk {
    int frames, found;
};

static _Unwind_Reason_Code look(struct _Unwind_Context *context, void *data)
{
    struct walk *walk = data;
    walk->found = _Unwind_GetIP(context) - first < last - first;
    return walk->found || ++walk->frames == FRAMES ? _URC_END_OF_STACK : _URC_NO_REASON;
}

/* The end of the main thread's stack; other threads are not checked. */
extern void *__libc_stack_end;

static int on_behalf(void)
{
    const uintptr_t *word = __builtin_frame_address(0), *end = __libc_stack_end;
    if (word > end || end - word > (8 << 20) / 8)
        return 0;
    for (int i = 0; word < end && *word - first >= last - first; i++, word++)
        if (i == WORDS)
            return 0;
    if (word >= end)
        return 0;
    struct walk walk = {0, 0};
    _Unwind_Backtrace(look, &walk);
    return walk.found;
}

static int fails(char what, const char *name)
{
    static __thread int inside;
    if (inside || !begin() || what != kind)
        return 0;
    inside = 1;
    int saved = errno;
    int now = on_behalf() && --countdown == 0;
    if (now) {
        const char *path = getenv("FAULT_REPORT");
        int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND, 0600);
        char line[32];
        int length = snprintf(line, sizeof line, "%s\n", name);
        if (syscall(SYS_write, fd, line, length) < 0)
            abort();
        syscall(SYS_close, fd);
    }
    errno = saved;
    inside = 0;
    return now;
}

#define FAIL(what, name, error, value)                                                             \
    do {                                                                                           \
        if (fails(what, name)) {                                                                   \
            errno = error;                                                                         \
            return value;                                                                          \
        }                                                                                          \
    } while (0)

void *malloc(size_t size)
{
    FAIL(MEMORY, "malloc", ENOMEM, NULL);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    FAIL(MEMORY, "calloc", ENOMEM, NULL);
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    FAIL(MEMORY, "realloc", ENOMEM, NULL);
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    FAIL(MEMORY, "aligned_alloc", ENOMEM, NULL);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **memory, size_t alignment, size_t size)
{
    if (fails(MEMORY, "posix_memalign"))
        return ENOMEM;
    *memory = __libc_memalign(alignment, size);
    return *memory == NULL ? ENOMEM : 0;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    FAIL(MEMORY, "mmap", ENOMEM, MAP_FAILED);
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    FAIL(CALLS, "open", EMFILE, -1);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* result, name, errno, parameters, the call of the real function */
#define CALLS_LIST(X)                                                                              \
    X(ssize_t, read, EIO, (int fd, void *to, size_t n), syscall(SYS_read, fd, to, n))              \
    X(ssize_t, pread, EIO, (int fd, void *to, size_t n, off_t at),                                 \
      syscall(SYS_pread64, fd, to, n, at))                                                         \
    X(ssize_t, write, ENOSPC, (int fd, const void *from, size_t n),                                \
      syscall(SYS_write, fd, from, n))                                                             \
    X(ssize_t, pwrite, ENOSPC, (int fd, const void *from, size_t n, off_t at),                     \
      syscall(SYS_pwrite64, fd, from, n, at))                                                      \
    X(int, fstat, EIO, (int fd, struct stat *out), syscall(SYS_fstat, fd, out))                    \
    X(int, stat, EIO, (const char *path, struct stat *out),                                        \
      syscall(SYS_newfstatat, AT_FDCWD, path, out, 0))                                             \
    X(int, ftruncate, EIO, (int fd, off_t size), syscall(SYS_ftruncate, fd, size))                 \
    X(int, mprotect, EACCES, (void *at, size_t n, int to), syscall(SYS_mprotect, at, n, to))       \
    X(int, madvise, ENOMEM, (void *at, size_t n, int how), syscall(SYS_madvise, at, n, how))       \
    X(int, link, EMLINK, (const char *from, const char *to), syscall(SYS_link, from, to))          \
    X(int, unlink, EPERM, (const char *path), syscall(SYS_unlink, path))                           \
    X(ssize_t, readlink, EIO, (const char *path, char *out, size_t n),                             \
      syscall(SYS_readlink, path, out, n))                                                         \
    X(ssize_t, getrandom, EAGAIN, (void *out, size_t n, unsigned flags),                           \
      syscall(SYS_getrandom, out, n, flags))

#define X(result, name, error, parameters, instead)                                                \
    result name parameters                                                                         \
    {                                                                                              \
        FAIL(CALLS, #name, error, -1);                                                             \
        return (result)instead;                                                                    \
    }
CALLS_LIST(X)
#undef X

/* Other names of the same functions on a 64-bit machine. */
#ifdef __GLIBC__ /* musl has one name for both */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
void *mmap64(void *, size_t, int, int, int, off_t) __attribute__((alias("mmap")));
ssize_t pread64(int, void *, size_t, off_t) __attribute__((alias("pread")));
ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));
#endif

int posix_fallocate(int fd, off_t offset, off_t length)
{
    if (fails(CALLS, "posix_fallocate"))
        return ENOSPC;
    return syscall(SYS_fallocate, fd, 0, offset, length) == 0 ? 0 : errno;
}

int mkostemps(char *path, int suffix, int flags)
{
    FAIL(CALLS, "mkostemps", EEXIST, -1);
    int (*next)(char *, int, int) = (int (*)(char *, int, int))dlsym(RTLD_NEXT, "mkostemps");
    return next(path, suffix, flags);
}

void *dlopen(const char *path, int mode)
{
    if (fails(CALLS, "dlopen"))
        path = "/nonexistent/library"; /* so that dlerror has a message */
    void *(*next)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
    return next(path, mode);
}
