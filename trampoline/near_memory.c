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
#include <sys/mman.h>

#include "arch.h"
#include "trampoline/base/page.h"
#include "trampoline/gaps.h"

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

/* One page is left free on either side, so that an overrun of a neighbour faults and the kernel's stack
 * guard gap is kept. */
static void consider_gap(void *context, uintptr_t start, uintptr_t end)
{
    struct search *search = context;
    if (end - start < search->length + 2 * search->page)
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

static uintptr_t best(const struct search *search)
{
    return search->below != 0 ? search->below : search->above;
}

uintptr_t near_memory_find_in(const char *maps, uintptr_t site, size_t length)
{
    struct search search = {.site = site, .length = page_up(length), .page = page_size()};
    gaps_in(maps, consider_gap, &search);
    return best(&search);
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
    struct search search = {.site = site, .length = page_up(length), .page = page_size()};
    if (!gaps_here(consider_gap, &search)) {
        failure_set(why, FAILURE_NO_NEAR_MEMORY, errno, "/proc/self/maps");
        errno = saved;
        return 0;
    }
    uintptr_t found = best(&search);
    if (found == 0 || !near_memory_reserve_at(found, length)) {
        failure_set(why, FAILURE_NO_NEAR_MEMORY, found == 0 ? 0 : errno, "around %p", (void *)site);
        found = 0;
    }
    errno = saved;
    return found;
}
