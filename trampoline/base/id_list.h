/* id_list.h - a list of numbers, each at most once, in the order in which they were added.
 *
 * Whether a number is in the list is known at once: for each number there is a place that holds the
 * one behind it. Memory, four bytes a number, comes from mmap in blocks, which the kernel fills a
 * page at a time. The user locks. */
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

/* The number behind this one, the first one behind ID_LIST_NONE; ID_LIST_NONE when there is none. */
uint32_t id_list_next(const struct id_list *list, uint32_t number);

/* Empties it and gives its memory back. Safe in a signal handler. */
void id_list_clear(struct id_list *list);

#endif
