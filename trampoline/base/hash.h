/* hash.h - hashes bytes, for tables whose size is a power of two (id_table.h). */
#ifndef PYPERF_HASH_H
#define PYPERF_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Takes eight bytes at a time; the constants are those of splitmix64's finaliser, which mixes every
 * bit of its input into every bit of its output. */
static inline uint64_t hash_mix(uint64_t hash, uint64_t block)
{
    hash = (hash ^ block) * 0xbf58476d1ce4e5b9u;
    return hash ^ hash >> 27;
}

static inline uint32_t hash_end(uint64_t hash)
{
    return (uint32_t)(hash * 0x94d049bb133111ebu >> 32);
}

static inline uint32_t hash_text(const char *text, size_t length)
{
    uint64_t hash = 0x9e3779b97f4a7c15u * (length + 1);
    for (size_t i = 0; i < length; i += 8) {
        uint64_t block = 0;
        memcpy(&block, text + i, length - i < 8 ? length - i : 8);
        hash = hash_mix(hash, block);
    }
    return hash_end(hash);
}

#endif
