/* near_memory.c - chooses a free page near the evaluator.
 *
 * A static non-PIE program is at 0x400000 with its heap above, growing upwards from a random
 * address; a PIE likewise; a shared library is among other mappings, to which the kernel adds
 * downwards. Nothing grows into a gap below the object from beneath, so the nearest gap below the
 * site is taken, else the nearest above, at its upper end, away from a heap that grows into the
 * lower one.
 *
 *     0x10000   [ free ............... here ] program [ heap --> ........ free ]      */
#include "trampoline/near_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch.h"
#include "trampoline/base/page.h"

enum {
    /* The lowest address: vm.mmap_min_addr is 65536 by default
     * (Documentation/admin-guide/sysctl/vm.rst). */
    LOWEST = 65536,
    MAPS_LIMIT = 8 << 20, /* some 80,000 mappings */
};

/* The kernel maps nothing above this unless asked to, and never the last page (x86: TASK_SIZE_MAX
 * in arch/x86/include/asm/page_64.h). */
static uintptr_t end_of_addresses(void)
{
    return ((uintptr_t)1 << ARCH_ADDRESS_BITS) - page_size();
}

struct search {
    uintptr_t site;
    size_t length, page;    /* bytes, whole pages; bytes of one page */
    uintptr_t below, above; /* the best addresses so far, 0 for none */
};

static bool reaches(const struct search *search, uintptr_t page)
{
    uintptr_t low = page < search->site ? page : search->site;
    uintptr_t high = page < search->site ? search->site : page + search->length;
    return high - low < ARCH_JUMP_REACH;
}

/* Gaps come in ascending order. One page is left free on either side, so that an overrun of a
 * neighbour faults and the kernel's stack guard gap is kept. */
static void consider_gap(struct search *search, uintptr_t start, uintptr_t end)
{
    if (end > end_of_addresses()) /* before [vsyscall] */
        end = end_of_addresses();
    if (start >= end || end - start < search->length + 2 * search->page)
        return;
    uintptr_t top = end - search->length - search->page;
    if (end <= search->site) {
        if (reaches(search, top))
            search->below = top;
    } else if (search->above == 0) {
        uintptr_t reach = page_down(search->site + ARCH_JUMP_REACH - search->length);
        uintptr_t page = top < reach ? top : reach - search->page;
        if (page >= start + search->page && reaches(search, page))
            search->above = page;
    }
}

uintptr_t near_memory_find_in(const char *maps, uintptr_t site, size_t length)
{
    struct search search = {.site = site, .length = page_up(length), .page = page_size()};
    uintptr_t previous_end = LOWEST;
    for (const char *line = maps; line != NULL && *line != '\0';) {
        char *dash;
        uintptr_t start = strtoull(line, &dash, 16);
        if (*dash != '-')
            break;
        uintptr_t end = strtoull(dash + 1, NULL, 16);
        if (start > previous_end)
            consider_gap(&search, previous_end, start);
        if (end > previous_end)
            previous_end = end;
        line = strchr(dash, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    if (previous_end < end_of_addresses())
        consider_gap(&search, previous_end, end_of_addresses());
    return search.below != 0 ? search.below : search.above;
}

/* Reads the whole file, NUL terminated, into a mapping; NULL when that fails. */
static char *read_maps(int fd)
{
    char *text = mmap(NULL, MAPS_LIMIT, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (text == MAP_FAILED)
        return NULL;
    size_t used = 0;
    for (;;) {
        ssize_t n = read(fd, text + used, MAPS_LIMIT - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    return text;
}

bool near_memory_reserve_at(uintptr_t address, size_t length)
{
    void *wanted = (void *)address;
    void *mapped = mmap(wanted, length, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    /* Before Linux 4.17 MAP_FIXED_NOREPLACE is ignored and the address is a hint. */
    if (mapped != MAP_FAILED && mapped != wanted)
        munmap(mapped, length);
    return mapped == wanted;
}

uintptr_t near_memory_reserve(uintptr_t site, size_t length, struct failure *why)
{
    int saved = errno;
    uintptr_t found = 0;
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    char *text = fd < 0 ? NULL : read_maps(fd);
    if (text == NULL) {
        failure_set(why, FAILURE_NO_NEAR_MEMORY, errno, "/proc/self/maps");
    } else {
        found = near_memory_find_in(text, site, length);
        munmap(text, MAPS_LIMIT);
        if (found == 0 || !near_memory_reserve_at(found, length)) {
            failure_set(why, FAILURE_NO_NEAR_MEMORY, found == 0 ? 0 : errno, "around %p",
                        (void *)site);
            found = 0;
        }
    }
    if (fd >= 0)
        close(fd);
    errno = saved;
    return found;
}
