#include "trampoline/base/id_table.h"

#include <stddef.h>
#include <sys/mman.h>

enum { FIRST_CAPACITY = 1024 };

struct id_entries {
    uint32_t capacity; /* a power of two */
    uint32_t of[];
};

static size_t size_of(uint32_t capacity)
{
    return sizeof(struct id_entries) + capacity * sizeof(uint32_t);
}

static uint32_t entry_of(uint32_t hash, uint32_t number)
{
    return hash >> ID_TABLE_BITS << ID_TABLE_BITS | (number + 1);
}

uint32_t *id_table_find(const struct id_table *table, uint32_t hash,
                        bool (*is)(uint32_t number, const void *key), const void *key)
{
    struct id_entries *entries = table->entries;
    for (uint32_t i = hash;; i++) {
        uint32_t *entry = &entries->of[i & (entries->capacity - 1)];
        if (*entry == 0 ||
            (*entry >> ID_TABLE_BITS == hash >> ID_TABLE_BITS && is(id_table_number(*entry), key)))
            return entry;
    }
}

void id_table_fill(struct id_table *table, uint32_t *entry, uint32_t hash, uint32_t number)
{
    table->used += *entry == 0;
    *entry = entry_of(hash, number);
}

static void enter(struct id_entries *entries, uint32_t hash, uint32_t number)
{
    uint32_t i = hash;
    while (entries->of[i & (entries->capacity - 1)] != 0)
        i++;
    entries->of[i & (entries->capacity - 1)] = entry_of(hash, number);
}

bool id_table_reserve(struct id_table *table, uint32_t (*hash_of)(uint32_t number))
{
    struct id_entries *old = table->entries;
    uint32_t capacity = old == NULL ? 0 : old->capacity;
    if (table->used < capacity - capacity / 4)
        return true;
    uint32_t wider = capacity == 0 ? FIRST_CAPACITY : capacity * 2;
    struct id_entries *entries =
        mmap(NULL, size_of(wider), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (entries == MAP_FAILED)
        return false;
    entries->capacity = wider;
    for (uint32_t i = 0; i < capacity; i++)
        if (old->of[i] != 0)
            enter(entries, hash_of(id_table_number(old->of[i])), id_table_number(old->of[i]));
    __atomic_store_n(&table->entries, entries, __ATOMIC_RELEASE);
    if (old != NULL)
        munmap(old, size_of(capacity));
    return true;
}
