#include "trampoline/code_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch.h"

size_t code_memory_write(uintptr_t address, const void *bytes, size_t length)
{
    int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return 0;
    size_t done = 0;
    /* Not pwrite: a seccomp filter may kill a process that makes a system call the program never
     * makes; CPython calls these two. */
    bool there = lseek(fd, (off_t)address, SEEK_SET) == (off_t)address;
    while (there && done < length) {
        ssize_t n = write(fd, (const char *)bytes + done, length - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    /* The bytes are compared, because a sandbox may put another file there that discards what is
     * written. */
    if (memcmp((const void *)address, bytes, done) != 0)
        return 0;
    arch_synchronise(address, done);
    return done;
}

static bool map(uintptr_t address, size_t length, int protection)
{
    return mmap((void *)address, length, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                0) == (void *)address;
}

bool code_memory_map(uintptr_t address, const void *bytes, size_t length)
{
    if (map(address, length, PROT_READ | PROT_EXEC) &&
        code_memory_write(address, bytes, length) == length)
        return true;
    if (!map(address, length, PROT_READ | PROT_WRITE))
        return false;
    memcpy((void *)address, bytes, length);
    arch_synchronise(address, length);
    return mprotect((void *)address, length, PROT_READ | PROT_EXEC) == 0;
}
