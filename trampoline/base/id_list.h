/* id_list.h - a list of numbers, each at most once, in the order in which they were added.
 *
 * For each number an array has the next one, so a lookup takes constant time. Memory, four bytes a
 * number, comes from mmap in blocks, of which only touched pages take memory. The caller locks. */
#ifndef PYPERF_ID_LIST_H
#define PYPERF_ID_LIST_H

#include <stdbool.h>
#include <stdint.h>

enum {
    ID_LIST_BLOCK = 65536,
    ID_LIST_BLOCKS = 64,
    ID_LIST_LIMIT = ID_LIST_BLOCK * ID_LIST_BLOCKS, /* numbers are below it */
};

#define ID_LIST_NONE UINT32_MAX

struct id_list {
    uint32_t *next[ID_LIST_BLOCKS]; /* number + 2; 1: the last one; 0: not in the list */
    uint32_t first, last;           /* number + 1; 0: the list is empty */
};

/* Adds the number when it is not there. False with errno when there is no memory. */
bool id_list_add(struct id_list *list, uint32_t number);

/* The number after this one, or the first for ID_LIST_NONE; ID_LIST_NONE at the end. */
uint32_t id_list_next(const struct id_list *list, uint32_t number);

/* Empties the list and unmaps its memory. Safe in a signal handler. */
void id_list_clear(struct id_list *list);

#endif
