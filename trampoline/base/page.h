/* page.h - the page size, which is the kernel's choice on some CPUs (4, 16 or 64 KiB on AArch64),
 * so code that maps or protects memory must not assume one. */
#ifndef PYPERF_PAGE_H
#define PYPERF_PAGE_H

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

static inline size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* An address or a length, rounded down or up to a multiple of the page size. */
static inline uintptr_t page_down(uintptr_t value)
{
    return value & ~(uintptr_t)(page_size() - 1);
}

static inline uintptr_t page_up(uintptr_t value)
{
    return page_down(value + page_size() - 1);
}

#endif
