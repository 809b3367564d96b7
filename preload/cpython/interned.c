#include "preload/cpython/interned.h"

#include <string.h>
#include <sys/mman.h>

#include "trampoline/base/hash.h"
#include "trampoline/base/id_table.h"

/* A number counts steps of ALIGNMENT bytes through the blocks. The first step of the first block is
 * unused, because 0 is not a valid number. */
enum {
    BLOCK_BITS = 16,
    BLOCK_SIZE = 1 << BLOCK_BITS,
    BLOCKS = 8191, /* 512 MiB */
    ALIGNMENT = 4,
};
_Static_assert((uint64_t)BLOCKS *BLOCK_SIZE / ALIGNMENT <= ID_TABLE_LIMIT, "numbers do not fit");

static struct {
    struct id_table table;
    char *blocks[BLOCKS]; /* from mmap: malloc belongs to the program; NULL: not needed yet */
    uint32_t end;         /* of the strings, in bytes through all blocks */
} strings = {.end = ALIGNMENT};

struct string {
    const char *text;
    size_t length;
};

const char *interned(uint32_t number)
{
    size_t at = (size_t)number * ALIGNMENT;
    return strings.blocks[at >> BLOCK_BITS] + (at & (BLOCK_SIZE - 1));
}

static uint32_t hash_of(uint32_t number)
{
    const char *text = interned(number);
    return hash_text(text, strlen(text));
}

bool interned_is(uint32_t number, const char *text, size_t length)
{
    const char *string = interned(number);
    return strncmp(string, text, length) == 0 && string[length] == '\0';
}

static bool is(uint32_t number, const void *key)
{
    const struct string *string = key;
    return interned_is(number, string->text, string->length);
}

static bool add_block(uint32_t number)
{
    char *block =
        mmap(NULL, BLOCK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return false;
    __atomic_store_n(&strings.blocks[number], block, __ATOMIC_RELEASE);
    return true;
}

/* Makes room for `size` bytes within one block, at strings.end. A process may fork at any moment,
 * so after each store the strings are consistent. */
static char *make_room(size_t size)
{
    for (;;) {
        uint32_t number = strings.end >> BLOCK_BITS, at = strings.end & (BLOCK_SIZE - 1);
        if (number == BLOCKS || (strings.blocks[number] == NULL && !add_block(number)))
            return NULL;
        if (at + size <= BLOCK_SIZE)
            return strings.blocks[number] + at;
        strings.end = (number + 1) << BLOCK_BITS; /* the longest does not fit into the first */
    }
}

/* 0 when there is no memory. */
static uint32_t copy(const char *text, size_t length)
{
    char *out = make_room(length + 1);
    if (out == NULL)
        return 0;
    memcpy(out, text, length);
    out[length] = '\0';
    uint32_t number = strings.end / ALIGNMENT;
    strings.end += (uint32_t)(length + 1 + ALIGNMENT - 1) & ~(uint32_t)(ALIGNMENT - 1);
    return number;
}

uint32_t intern(const char *text, size_t length)
{
    const struct string key = {text, length};
    if (length >= BLOCK_SIZE || !id_table_reserve(&strings.table, hash_of))
        return 0;
    uint32_t hash = hash_text(text, length);
    uint32_t *entry = id_table_find(&strings.table, hash, is, &key);
    if (*entry != 0)
        return id_table_number(*entry);
    uint32_t number = copy(text, length);
    if (number != 0)
        id_table_fill(&strings.table, entry, hash, number);
    return number;
}
