#include "trampoline/base/id_list.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

enum { LAST = 1, BEHIND = 2 };

static uint32_t *place_of(const struct id_list *list, uint32_t number)
{
    uint32_t *block = list->next[number / ID_LIST_BLOCK];
    return block == NULL ? NULL : &block[number % ID_LIST_BLOCK];
}

bool id_list_add(struct id_list *list, uint32_t number)
{
    uint32_t **block = &list->next[number / ID_LIST_BLOCK];
    if (*block == NULL) {
        void *memory = mmap(NULL, ID_LIST_BLOCK * sizeof **block, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED)
            return false;
        *block = memory;
    }
    uint32_t *place = place_of(list, number);
    if (*place != 0)
        return true;
    *place = LAST;
    if (list->first == 0)
        list->first = number + 1;
    else
        *place_of(list, list->last - 1) = number + BEHIND;
    list->last = number + 1;
    return true;
}

uint32_t id_list_next(const struct id_list *list, uint32_t number)
{
    if (number == ID_LIST_NONE)
        return list->first == 0 ? ID_LIST_NONE : list->first - 1;
    const uint32_t *place = place_of(list, number);
    return place == NULL || *place <= LAST ? ID_LIST_NONE : *place - BEHIND;
}

void id_list_clear(struct id_list *list)
{
    for (size_t i = 0; i < ID_LIST_BLOCKS; i++)
        if (list->next[i] != NULL)
            munmap(list->next[i], ID_LIST_BLOCK * sizeof *list->next[i]);
    memset(list, 0, sizeof *list);
}
