/* guarded.h - bytes at the end of readable memory: whoever reads one more faults. */
#ifndef PYPERF_TEST_GUARDED_H
#define PYPERF_TEST_GUARDED_H

#include <string.h>
#include <sys/mman.h>

#include "support.h"

enum { GUARDED_PAGE = 4096, GUARDED_SIZE = 4 * GUARDED_PAGE };

/* The end of such memory, with an unreadable page on either side. */
static inline uint8_t *guarded_end(void)
{
    static uint8_t *memory;
    if (memory != NULL)
        return memory + GUARDED_SIZE;
    uint8_t *pages =
        mmap(NULL, GUARDED_SIZE + 2 * GUARDED_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(pages != MAP_FAILED);
    memory = pages + GUARDED_PAGE;
    ck_assert_int_eq(mprotect(memory, GUARDED_SIZE, PROT_READ | PROT_WRITE), 0);
    return memory + GUARDED_SIZE;
}

/* A copy of the bytes there. */
static inline uintptr_t guarded_copy(const void *bytes, size_t size)
{
    uint8_t *end = guarded_end();
    memcpy(end - size, bytes, size);
    return (uintptr_t)(end - size);
}

#endif
