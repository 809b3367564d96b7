/* readable.h - whether memory that may be unmapped can be read: for a signal handler, which finds
 * addresses on stacks and in objects that another thread may be changing.
 *
 * rt_sigprocmask(2) copies the new set from the given address before it looks at `how`
 * (kernel/signal.c). With a `how` that does not exist it changes nothing, and fails with EFAULT for
 * an address that cannot be read, otherwise with EINVAL. It needs no descriptor and no permission,
 * and CPython calls it itself. The answer holds as long as nobody unmaps the memory. */
#ifndef PYPERF_READABLE_H
#define PYPERF_READABLE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Pages that were found readable, each in the place of its number; zeroed: none. Pages may be
 * larger, never smaller. */
enum { READABLE_PAGE = 4096, READABLE_KNOWN = 16 };
struct readable {
    uintptr_t pages[READABLE_KNOWN];
};

/* Changes errno. */
static inline bool readable_page(struct readable *known, uintptr_t page)
{
    uintptr_t *place = &known->pages[page / READABLE_PAGE % READABLE_KNOWN];
    if (page == 0)
        return false;
    if (page != *place && syscall(SYS_rt_sigprocmask, -1, page, NULL, 8) != 0 && errno == EFAULT)
        return false;
    *place = page;
    return true;
}

/* Whether all `size` bytes at `address` can be read. Changes errno. */
static inline bool readable(struct readable *known, uintptr_t address, size_t size)
{
    uintptr_t page = address & ~(uintptr_t)(READABLE_PAGE - 1), last = address + size - 1;
    if (last < address)
        return false;
    for (; page <= last; page += READABLE_PAGE)
        if (!readable_page(known, page))
            return false;
    return true;
}

/* A word that has been found readable. It may be in any object of the process, and in
 * AddressSanitizer's own memory, which has no shadow. */
__attribute__((no_sanitize_address)) static inline uint64_t readable_word(uintptr_t address)
{
    typedef uint64_t __attribute__((aligned(1), may_alias)) word;
    return *(const word *)address;
}

#endif
