#include "trampoline/earlier_maps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trampoline/base/debug.h"
#include "trampoline/base/page.h"
#include "trampoline/gaps.h"

/* Left free at either end, for other threads that map memory, and for the heap, meanwhile. The kernel
 * spreads libraries and programs over 1 TiB (vm.mmap_rnd_bits is 28), so an old mapping is there in one
 * of 4,000 processes. */
#define MARGIN ((uintptr_t)256 << 20)

static bool covered;

/* Gaps that end above our own code are not needed: an object's address misleads perf where it is lower
 * than the present one. One of them is the main thread's stack's, which may grow meanwhile.
 * Executable, because the kernel tells perf of no others; readable, because the kernel takes a
 * protection key for what is executable alone. */
static void cover(void *context, uintptr_t start, uintptr_t end)
{
    size_t *count = context;
    if (end > (uintptr_t)&earlier_maps_cover || end - start <= 4 * MARGIN)
        return;
    void *wanted = (void *)(start + MARGIN);
    size_t length = end - start - 2 * MARGIN;
    void *mapped = mmap(wanted, length, PROT_READ | PROT_EXEC,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (mapped == MAP_FAILED)
        return;
    munmap(mapped, length);
    ++*count;
}

/* In KiB (proc_pid_status(5)); 1 when it cannot be read. Not with stdio, which allocates memory. */
static unsigned long locked_memory(void)
{
    char text[4096];
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[length < 0 ? 0 : length] = '\0';
    const char *line = strstr(text, "\nVmLck:");
    return line == NULL ? 1 : strtoul(line + sizeof "\nVmLck:" - 1, NULL, 10);
}

/* After mlockall(MCL_FUTURE) each new mapping gets all of its pages at once. mincore(2) would tell, too,
 * but a seccomp filter may kill for it. */
static bool new_mappings_are_locked(void)
{
    void *page = mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return true;
    bool locked = locked_memory() != 0;
    munmap(page, page_size());
    return locked;
}

void earlier_maps_cover(void)
{
    int saved = errno;
    size_t count = 0;
    if (!covered && !new_mappings_are_locked()) {
        covered = true;
        gaps_here(cover, &count);
        debug_log(process, 2, "%zu gaps covered, so that perf forgets what exec has replaced",
                  count);
    }
    errno = saved;
}
