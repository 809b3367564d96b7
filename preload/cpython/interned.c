#include "preload/cpython/interned.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "trampoline/base/hash.h"

enum { POOL_SIZE = 64 << 10, FIRST_CAPACITY = 512 };

/* A hash table with linear probing, NULL in an empty place. Memory comes from mmap: the program's
 * heap is the program's. */
static struct {
    const char **table;
    uint32_t capacity, used; /* capacity is a power of two or 0 */
    char *pool;
    size_t pool_used;
} texts = {.pool_used = POOL_SIZE};

static void *take_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static const char **place_of(const char **table, uint32_t capacity, const char *text, size_t length)
{
    for (uint32_t i = hash_text(text, length, 0);; i++) {
        const char **place = &table[i & (capacity - 1)];
        if (*place == NULL || (strncmp(*place, text, length) == 0 && (*place)[length] == '\0'))
            return place;
    }
}

/* Keeps a quarter of the table free. */
static bool make_room(void)
{
    if (texts.used < texts.capacity - texts.capacity / 4)
        return true;
    uint32_t capacity = texts.capacity == 0 ? FIRST_CAPACITY : texts.capacity * 2;
    const char **table = take_memory(capacity * sizeof *table);
    if (table == NULL)
        return false;
    for (uint32_t i = 0; i < texts.capacity; i++)
        if (texts.table[i] != NULL)
            *place_of(table, capacity, texts.table[i], strlen(texts.table[i])) = texts.table[i];
    if (texts.table != NULL)
        munmap(texts.table, texts.capacity * sizeof *table);
    texts.table = table;
    texts.capacity = capacity;
    return true;
}

static char *copy_of(const char *text, size_t length)
{
    if (texts.pool_used + length + 1 > POOL_SIZE) {
        char *memory = take_memory(POOL_SIZE);
        if (memory == NULL)
            return NULL;
        texts.pool = memory;
        texts.pool_used = 0;
    }
    char *copy = memcpy(texts.pool + texts.pool_used, text, length);
    copy[length] = '\0';
    texts.pool_used += length + 1;
    return copy;
}

const char *intern(const char *text, size_t length)
{
    if (length >= POOL_SIZE || !make_room())
        return NULL;
    const char **place = place_of(texts.table, texts.capacity, text, length);
    if (*place == NULL) {
        *place = copy_of(text, length);
        texts.used += *place != NULL;
    }
    return *place;
}
