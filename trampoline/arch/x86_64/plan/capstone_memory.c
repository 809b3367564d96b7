#include "capstone_memory.h"

#include <capstone/capstone.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* capstone takes some 20 KiB for one handle and one instruction. Untouched pages cost nothing. */
enum { BLOCK_SIZE = 256 << 10 };

struct chunk {
    size_t size;
    struct chunk *next; /* the next free chunk */
    _Alignas(max_align_t) uint8_t bytes[];
};

static _Alignas(max_align_t) uint8_t block[BLOCK_SIZE];
static size_t used;
static struct chunk *free_chunks;

/* A freed chunk serves only requests of its own size: each handle asks for the same sizes. */
static struct chunk *take_free(size_t size)
{
    for (struct chunk **link = &free_chunks; *link != NULL; link = &(*link)->next) {
        struct chunk *chunk = *link;
        if (chunk->size == size) {
            *link = chunk->next;
            return chunk;
        }
    }
    return NULL;
}

static void *take(size_t size)
{
    if (size > BLOCK_SIZE)
        return NULL;
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct chunk *chunk = take_free(size);
    if (chunk == NULL) {
        if (size + sizeof *chunk > BLOCK_SIZE - used)
            return NULL;
        chunk = (struct chunk *)(block + used);
        used += size + sizeof *chunk;
        chunk->size = size;
    }
    return chunk->bytes;
}

static void give_back(void *memory)
{
    if (memory == NULL)
        return;
    struct chunk *chunk = (struct chunk *)((uint8_t *)memory - offsetof(struct chunk, bytes));
    chunk->next = free_chunks;
    free_chunks = chunk;
}

static void *take_zeroed(size_t count, size_t size)
{
    void *memory = size != 0 && count > BLOCK_SIZE / size ? NULL : take(count * size);
    return memory == NULL ? NULL : memset(memory, 0, count * size);
}

static void *take_more(void *memory, size_t size)
{
    void *more = take(size);
    if (more == NULL || memory == NULL)
        return more;
    struct chunk *chunk = (struct chunk *)((uint8_t *)memory - offsetof(struct chunk, bytes));
    memcpy(more, memory, chunk->size < size ? chunk->size : size);
    give_back(memory);
    return more;
}

void capstone_memory_use(void)
{
    static cs_opt_mem functions = {take, take_zeroed, take_more, give_back, vsnprintf};
    cs_option(0, CS_OPT_MEM, (size_t)&functions);
}
