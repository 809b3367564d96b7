#include "preload/cpython/evaluator_code.h"

#include <errno.h>
#include <stddef.h>

#include "arch_unwind.h"
#include "preload/cpython/python.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/elf_object.h"
#include "trampoline/unwind/eh_frame.h"

static uintptr_t other_begin, other_size; /* 0: there is no other part */

/* The object's .eh_frame_hdr and the end of its segments; false if it has none. */
static bool find_unwind_data(uintptr_t *header, uintptr_t *end)
{
    struct elf_object object;
    if (!elf_object_at((const void *)python.evaluator, &object, NULL))
        return false;
    *header = *end = 0;
    for (size_t i = 0; i < object.segment_count; i++) {
        const ElfW(Phdr) *segment = &object.segments[i];
        uintptr_t last = object.bias + segment->p_vaddr + segment->p_memsz;
        if (segment->p_type == PT_GNU_EH_FRAME)
            *header = object.bias + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && last > *end)
            *end = last;
    }
    return *header != 0;
}

/* Of the functions that branches lead to the one with the most; few lead elsewhere, by bytes that
 * only look like one. */
struct vote {
    struct eh_frame_function function;
    int count;
};

static void count(struct vote *votes, size_t size, const struct eh_frame_function *function)
{
    for (size_t i = 0; i < size; i++) {
        if (votes[i].count == 0)
            votes[i].function = *function;
        if (votes[i].function.fde == function->fde) {
            votes[i].count++;
            return;
        }
    }
}

void evaluator_code_find(void)
{
    enum { VOTES = 64, ENOUGH = 8 };
    struct vote votes[VOTES] = {0}, *most = &votes[0];
    static uintptr_t looked_at;
    uintptr_t header, end;
    int saved = errno;
    if (looked_at == python.evaluator || !find_unwind_data(&header, &end))
        return;
    looked_at = python.evaluator;
    for (uintptr_t at = python.evaluator; at < python.evaluator + python.evaluator_size; at++) {
        uintptr_t target = arch_conditional_branch(at, python.evaluator + python.evaluator_size);
        struct eh_frame_function function;
        if (target != 0 && target - python.evaluator >= python.evaluator_size &&
            eh_frame_find(header, end, target, &function))
            count(votes, VOTES, &function);
    }
    for (size_t i = 0; i < VOTES; i++)
        if (votes[i].count > most->count)
            most = &votes[i];
    if (most->count >= ENOUGH) {
        other_begin = most->function.begin;
        other_size = most->function.end - most->function.begin;
    }
    debug_log(python, 1, "the evaluator's other part: %#lx, %zu bytes, %d branches",
              (unsigned long)most->function.begin,
              (size_t)(most->function.end - most->function.begin), most->count);
    errno = saved;
}

bool evaluator_code_part(unsigned part, uintptr_t *begin, uintptr_t *end)
{
    *begin = part == 0 ? python.evaluator : other_begin;
    *end = *begin + (part == 0 ? python.evaluator_size : other_size);
    return *end > *begin;
}

bool evaluator_code_has(uintptr_t address)
{
    return address - python.evaluator < python.evaluator_size || address - other_begin < other_size;
}

bool evaluator_code_begins(uintptr_t address)
{
    enum { BEGIN = 512 };
    return address - python.evaluator < BEGIN;
}
