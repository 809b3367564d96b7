/* dwarf_cursor.h - reads .eh_frame and DWARF expressions in memory that may be unmapped meanwhile:
 * each page is tested before it is read (readable.h). After a failure all reads give 0. */
#ifndef PYPERF_DWARF_CURSOR_H
#define PYPERF_DWARF_CURSOR_H

#include <string.h>

#include "trampoline/base/dwarf.h"
#include "trampoline/base/readable.h"

struct dwarf_cursor {
    uintptr_t at, end;
    struct readable known;
    bool failed;
};

static inline bool dwarf_take(struct dwarf_cursor *cursor, void *bytes, size_t size)
{
    if (cursor->failed || cursor->end - cursor->at < size || cursor->at > cursor->end ||
        !readable(&cursor->known, cursor->at, size)) {
        cursor->failed = true;
        memset(bytes, 0, size);
        return false;
    }
    memcpy(bytes, (const void *)cursor->at, size);
    cursor->at += size;
    return true;
}

static inline uint8_t dwarf_byte(struct dwarf_cursor *cursor)
{
    uint8_t byte;
    dwarf_take(cursor, &byte, sizeof byte);
    return byte;
}

/* A number of `size` bytes, 1 to 8, in the CPU's order, little-endian. */
static inline uint64_t dwarf_unsigned(struct dwarf_cursor *cursor, size_t size)
{
    uint64_t number = 0;
    dwarf_take(cursor, &number, size);
    return number;
}

static inline int64_t dwarf_signed(struct dwarf_cursor *cursor, size_t size)
{
    unsigned unused = 64 - 8 * (unsigned)size;
    return (int64_t)(dwarf_unsigned(cursor, size) << unused) >> unused;
}

/* DWARF 4, 7.6: LEB128. *bits becomes how many the number has; the highest one says its sign. */
static inline uint64_t dwarf_leb(struct dwarf_cursor *cursor, unsigned *bits)
{
    uint64_t number = 0;
    uint8_t byte;
    *bits = 0;
    do {
        byte = dwarf_byte(cursor);
        if (*bits < 64)
            number |= (uint64_t)(byte & 127) << *bits;
        *bits += 7;
    } while ((byte & 128) != 0 && !cursor->failed);
    return number;
}

static inline uint64_t dwarf_uleb(struct dwarf_cursor *cursor)
{
    unsigned bits;
    return dwarf_leb(cursor, &bits);
}

static inline int64_t dwarf_sleb(struct dwarf_cursor *cursor)
{
    unsigned bits;
    uint64_t number = dwarf_leb(cursor, &bits);
    if (bits < 64 && (number >> (bits - 1) & 1) != 0)
        number |= ~(uint64_t)0 << bits;
    return (int64_t)number;
}

#endif
