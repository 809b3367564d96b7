/* id_table.h - a hash table of numbers, each an index of something that its user keeps.
 *
 * Open addressing with linear probing; an entry is four bytes: the number, and above it some bits
 * of the hash, so that most comparisons need not look at what the number stands for.
 *
 *     entry   31     27 26                     0
 *            | hash    | number + 1             |     0: empty
 *
 * Memory comes from mmap, because malloc belongs to the program. The caller locks. A larger table
 * is filled beside the one in use and replaces it by one store: when a thread without our lock
 * forks at any moment, the child has a complete table. */
#ifndef PYPERF_ID_TABLE_H
#define PYPERF_ID_TABLE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ID_TABLE_BITS = 27,
    ID_TABLE_LIMIT = (1 << ID_TABLE_BITS) - 1, /* numbers are below it */
};

struct id_table {
    struct id_entries *entries; /* NULL: empty */
    uint32_t used;
};

/* The entry of the number for which `is(number, key)` is true, else the empty entry for this key.
 * pre: id_table_reserve has succeeded since the last entry was filled. */
uint32_t *id_table_find(const struct id_table *table, uint32_t hash,
                        bool (*is)(uint32_t number, const void *key), const void *key);

/* The number in an entry that is not empty. */
static inline uint32_t id_table_number(uint32_t entry)
{
    return (entry & ((1u << ID_TABLE_BITS) - 1)) - 1;
}

/* Fills an entry that id_table_find has returned; replaces a number in it. */
void id_table_fill(struct id_table *table, uint32_t *entry, uint32_t hash, uint32_t number);

/* Makes room for one more entry: a quarter of the table stays free. `hash_of` computes a number's
 * hash. Returns false with errno when there is no memory; the table is then unchanged. */
bool id_table_reserve(struct id_table *table, uint32_t (*hash_of)(uint32_t number));

#endif
