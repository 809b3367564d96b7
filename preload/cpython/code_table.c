#include "preload/cpython/code_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "trampoline/hook.h"

enum { FIRST_SIZE = 1024 };

static struct {
    struct hook_code *entries; /* `size` of them, a power of two; code 0: free */
    size_t size, used;
} table;

/* Objects are aligned to 8 bytes at least; the constant is 2^64 / golden ratio (Knuth, The Art of
 * Computer Programming vol. 3, 6.4). */
static size_t place_of(uintptr_t code)
{
    return (size_t)((code >> 3) * 0x9e3779b97f4a7c15u >> 32) & (table.size - 1);
}

/* The entry of this code object, or the free one at which the search for it ends. */
static struct hook_code *find(uintptr_t code)
{
    size_t i = place_of(code);
    while (table.entries[i].code != 0 && table.entries[i].code != code)
        i = (i + 1) & (table.size - 1);
    return &table.entries[i];
}

static struct hook_code *shown(uintptr_t code)
{
    return &hook_state.codes[code >> HOOK_CODE_SHIFT & (HOOK_CODES - 1)];
}

/* Zeroed memory, of which only touched pages take space. */
static bool show(void)
{
    int saved = errno;
    void *memory = MAP_FAILED;
    if (hook_state.codes_mask == 0)
        memory = mmap(NULL, HOOK_CODES * sizeof(struct hook_code), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    errno = saved;
    if (memory != MAP_FAILED) {
        hook_state.codes = memory;
        hook_state.codes_mask = HOOK_CODES_MASK;
    }
    return hook_state.codes_mask != 0;
}

/* Doubles the table, so that at least half of it is free. */
static bool grow(void)
{
    size_t old_size = table.size;
    struct hook_code *old = table.entries;
    size_t size = old_size == 0 ? FIRST_SIZE : 2 * old_size;
    struct hook_code *entries = calloc(size, sizeof *entries);
    if (entries == NULL)
        return false;
    table.entries = entries;
    table.size = size;
    for (size_t i = 0; i < old_size; i++)
        if (old[i].code != 0)
            *find(old[i].code) = old[i];
    free(old);
    return true;
}

uint64_t code_table_get(uintptr_t code)
{
    return table.size == 0 ? 0 : find(code)->value;
}

bool code_table_set(uintptr_t code, uint64_t value)
{
    struct hook_code *entry = table.size == 0 ? NULL : find(code);
    bool is_shown = hook_state.codes_mask != 0 && shown(code)->code == code;
    if (is_shown)
        shown(code)->value = value;
    if (entry == NULL || entry->code == 0) {
        if (2 * table.used >= table.size && !grow()) {
            if (is_shown)
                *shown(code) = (struct hook_code){0, 0};
            return false;
        }
        entry = find(code);
        table.used++;
    }
    *entry = (struct hook_code){code, value};
    return true;
}

/* Moves up the entries behind a free one, so that every search still finds its key (Knuth,
 * the same, algorithm R). */
static void close_gap(size_t gap)
{
    size_t mask = table.size - 1;
    for (size_t i = (gap + 1) & mask; table.entries[i].code != 0; i = (i + 1) & mask) {
        size_t wanted = place_of(table.entries[i].code);
        if (((i - wanted) & mask) < ((i - gap) & mask))
            continue;
        table.entries[gap] = table.entries[i];
        gap = i;
    }
    table.entries[gap] = (struct hook_code){0, 0};
}

void code_table_forget(uintptr_t code)
{
    if (hook_state.codes_mask != 0 && shown(code)->code == code)
        *shown(code) = (struct hook_code){0, 0};
    struct hook_code *entry = table.size == 0 ? NULL : find(code);
    if (entry == NULL || entry->code == 0)
        return;
    table.used--;
    close_gap((size_t)(entry - table.entries));
}

void code_table_show(uintptr_t code, uint64_t value)
{
    /* A value that is not in the table would stay here after the code object's end. */
    if (code_table_get(code) == value && show())
        *shown(code) = (struct hook_code){code, value};
}
