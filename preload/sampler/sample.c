/* sample.c - merges the two sources of a stack:
 *
 *     machine code (outermost first)      Python (innermost first)          the sample
 *     main                                                                  main
 *     PyEval_EvalCode                                                       PyEval_EvalCode
 *     _PyEval_EvalFrameDefault  <-------  f, <module>: both its calls       <module> f _PyEval_EvalFrameDefault
 *     list_sort                                                             list_sort
 *     _PyEval_EvalFrameDefault  <-------  key                               key _PyEval_EvalFrameDefault
 *     long_add                                                              long_add
 *
 * Which evaluator runs a call is known from 3.11 on, by an address in its C frame. To 3.10 each has
 * one, in order: from the outermost on, because at the begin and end of a call there is an
 * evaluator more. Where the stack of machine code is cut, they are counted from the innermost, and
 * what is left over comes first. */
#include "preload/sampler/sample.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/cpython/evaluator_code.h"
#include "preload/cpython/python_frames.h"
#include "preload/cpython/python_threads.h"
#include "preload/sampler/sample_file.h"
#include "preload/sampler/sample_tree.h"
#include "preload/sampler/thread_name.h"
#include "trampoline/base/elf_mapped.h"
#include "trampoline/unwind/walk.h"

/* A place holds the stack and the calls of one thread from one sample to the next. 16 places are
 * enough, because few of a process's threads run at a time. A thread whose place is in use by
 * another one takes the next place. */
enum { PLACES = 16, NAMED = 256 };
#define WATCHER (1u << 31) /* with a thread's number: the watcher samples it */

struct place {
    uint32_t taken; /* by the thread that is being sampled, or WATCHER; 0: by none */
    uint32_t last;  /* whose stack is here */
    uint32_t epoch;
    struct unwind_stack stack;
    struct python_calls calls;
    struct kept_call {
        const python_object *code;
        uint64_t mark;
        uint32_t instruction, parent, id, epoch;
    } kept[PYTHON_CALLS]; /* the calls of the last sample here, outermost first */
};

static struct place *places[PLACES];
static uint32_t named[NAMED];  /* threads whose name is known to the file, by their number */
static bool has_record[NAMED]; /* a thread of such a number has a record */
static uint32_t epoch = 1;     /* incremented when ids or addresses get another meaning */

static void show_mapping(const struct code_mapping *mapping, const char *path)
{
    uint8_t build_id[ELF_BUILD_ID_MAX];
    struct sample_mapping *record;
    size_t size = elf_mapped_build_id(&mapping->object, build_id), length = strlen(path) + 1;
    uint32_t id;
    record = sample_file_room(sizeof *record + length, &id);
    if (record == NULL)
        return;
    record->start = mapping->start;
    record->end = mapping->end;
    record->offset = mapping->offset;
    record->build_id_size = size <= sizeof record->build_id ? (uint32_t)size : 0;
    memcpy(record->build_id, build_id, record->build_id_size);
    memcpy(record + 1, path, length);
    sample_file_done(record, SAMPLE_MAPPING, sizeof *record + length);
}

/* Writes a thread's name when it is met for the first time, or again after another one of the same
 * place. Most threads have the process's name, which the header has: no record, unless there may be
 * one of an earlier thread of that number. */
static void show_thread(uint32_t thread)
{
    struct sample_thread *record;
    uint32_t place = thread % NAMED, id;
    char name[THREAD_NAME];
    if (__atomic_exchange_n(&named[place], thread, __ATOMIC_RELAXED) == thread)
        return;
    thread_name(thread, name);
    if (!__atomic_load_n(&has_record[place], __ATOMIC_RELAXED) && sample_file_is_name(name))
        return;
    record = sample_file_room(sizeof *record, &id);
    if (record == NULL)
        return;
    __atomic_store_n(&has_record[place], true, __ATOMIC_RELAXED);
    record->thread = thread;
    memcpy(record->name, name, sizeof record->name);
    sample_file_done(record, SAMPLE_THREAD, sizeof *record);
}

/* A place takes two megabytes of addresses. Where the program has limited them (RLIMIT_AS), what it
 * has left is its own, and one place is enough. */
static bool may_make_place(void)
{
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    for (int i = 0; i < PLACES && limited; i++)
        if (__atomic_load_n(&places[i], __ATOMIC_RELAXED) != NULL)
            return false;
    return true;
}

static struct place *make_place(struct place **where)
{
    if (!may_make_place())
        return NULL;
    struct place *made =
        (struct place *)syscall(SYS_mmap, NULL, sizeof *made, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct place *other = NULL;
    if (made == MAP_FAILED)
        return NULL;
    if (__atomic_compare_exchange_n(where, &other, made, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        return made;
    syscall(SYS_munmap, made, sizeof *made);
    return other;
}

/* NULL: this thread is being sampled already, or no place is free. */
static struct place *take_place(uint32_t thread, uint32_t taker)
{
    for (uint32_t i = 0; i < PLACES; i++) {
        struct place **where = &places[(thread + i) % PLACES];
        struct place *place = __atomic_load_n(where, __ATOMIC_ACQUIRE);
        uint32_t nobody = 0;
        if (place == NULL && (place = make_place(where)) == NULL)
            continue;
        if (__atomic_compare_exchange_n(&place->taken, &nobody, taker, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return place;
        if (nobody == taker)
            return NULL;
    }
    return NULL;
}

static void read_calls(struct place *place, const struct sample_point *point)
{
    const struct unwind_stack *stack = &place->stack;
    const struct unwind_registers *registers = &stack->frames[stack->count - 1].registers;
    struct python_place where = {point->state, registers->sp, stack->top, false, 0};
    where.beginning = !point->waits && evaluator_code_begins(registers->pc);
    if (where.beginning)
        where.evaluator = unwind_cfa(stack, stack->count - 1);
    python_frames_read(&place->calls, &where);
}

static uint32_t count_evaluators(const struct unwind_stack *stack)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < stack->count; i++)
        count += evaluator_code_has(unwind_address(stack, i));
    return count;
}

struct merge {
    struct place *place;
    struct readable memory;
    uint32_t calls; /* those that are still to come: the outermost of them is at calls - 1 */
    uint32_t frame; /* id of the record; 0: the root */
    bool full;
};

/* As in the last sample, at the same place and below the same frames? Then so is its record. */
static void add_call(struct merge *merge)
{
    const struct python_calls *calls = &merge->place->calls;
    const struct python_call *call = &calls->at[--merge->calls];
    struct kept_call *kept = &merge->place->kept[calls->count - 1 - merge->calls];
    bool test = calls->doubtful || merge->calls == 0;
    uint64_t mark = sample_tree_mark(test ? &merge->memory : NULL, call->code);
    if (mark == 0)
        return; /* not a code object: the frame was being made */
    if (kept->code != call->code || kept->mark != mark || kept->parent != merge->frame ||
        kept->instruction != call->instruction || kept->epoch != merge->place->epoch) {
        uint32_t code = sample_tree_code(call->code, mark);
        uint32_t id = code == 0 ? 0 : sample_tree_python(merge->frame, code, call->instruction);
        *kept = (struct kept_call){call->code,   mark, call->instruction,
                                   merge->frame, id,   id == 0 ? 0 : merge->place->epoch};
        merge->full |= id == 0;
    }
    merge->frame = kept->id;
}

/* The calls of the evaluator whose C frame is at `index`. */
static void add_calls(struct merge *merge, uint32_t index)
{
    const struct unwind_stack *stack = &merge->place->stack;
    const struct python_call *calls = merge->place->calls.at;
    if (merge->calls == 0)
        return;
    if (python.layout->frame_owner == 0) {
        if (evaluator_code_has(unwind_address(stack, index)))
            add_call(merge);
        return;
    }
    uintptr_t from = stack->frames[index].registers.sp, to = unwind_cfa(stack, index);
    while (merge->calls > 0 && calls[merge->calls - 1].evaluator - from < to - from && to != 0)
        add_call(merge);
}

/* Calls that belong to no evaluator of the stack of machine code. */
static void add_calls_without(struct merge *merge)
{
    const struct place *place = merge->place;
    const struct unwind_stack *stack = &place->stack;
    if (stack->count == 0)
        return;
    if (python.layout->frame_owner == 0) {
        uint32_t evaluators = stack->cut ? count_evaluators(stack) : UINT32_MAX;
        while (merge->calls > evaluators)
            add_call(merge);
        return;
    }
    uintptr_t cfa = unwind_cfa(stack, 0), end = cfa != 0 ? cfa : stack->frames[0].registers.sp;
    const struct python_call *calls = place->calls.at;
    while (merge->calls > 0 &&
           (calls[merge->calls - 1].evaluator == 0 || calls[merge->calls - 1].evaluator >= end))
        add_call(merge);
}

static uint32_t merged(struct place *place, bool *full)
{
    struct unwind_stack *stack = &place->stack;
    struct merge merge = {.place = place, .calls = place->calls.count};
    add_calls_without(&merge);
    for (uint32_t i = 0; i < stack->count && !merge.full; i++) {
        struct unwind_frame *frame = &stack->frames[i];
        add_calls(&merge, i);
        /* As last time, below the same frames? */
        if (frame->user[0] == 0 || frame->user[1] != merge.frame) {
            frame->user[0] = sample_tree_native(merge.frame, unwind_address(stack, i));
            frame->user[1] = merge.frame;
        }
        merge.full = frame->user[0] == 0;
        merge.frame = frame->user[0];
    }
    while (merge.calls > 0 && !merge.full)
        add_call(&merge);
    *full = merge.full;
    return merge.frame;
}

/* In 2.7 a thread waits for the interpreter's lock where PyThread_acquire_lock, the first function
 * of the interpreter from the inside, was called by the evaluator or by PyEval_RestoreThread
 * (Python/ceval.c). */
static bool waits_in_evaluator(const struct unwind_stack *stack)
{
    for (uint32_t i = stack->count; i > 1; i--) {
        if (!python_threads_is_code(unwind_address(stack, i - 1)))
            continue;
        uintptr_t caller = unwind_address(stack, i - 2);
        return evaluator_code_has(caller) ||
               caller - python.restore_thread.entry < python.restore_thread.size;
    }
    return false;
}

static uint16_t flags_of(const struct place *place, const struct sample_point *point)
{
    unsigned flags = 0;
    if (place->stack.cut)
        flags |= SAMPLE_CUT;
    if (place->calls.cut)
        flags |= SAMPLE_CALLS_CUT;
    if (point->waits)
        flags |= SAMPLE_WAITS;
    if (point->state == NULL)
        return (uint16_t)flags;
    if (python_threads_has_lock(point->state))
        flags |= SAMPLE_HAS_LOCK;
    else if (point->futex != 0 &&
             (python.layout->python_2 ? waits_in_evaluator(&place->stack)
                                      : python_threads_is_lock(point->state, point->futex)))
        flags |= SAMPLE_WAITS_FOR_LOCK;
    return (uint16_t)flags;
}

bool sample_find(const struct sample_point *point, struct sample_stack *stack)
{
    uint32_t thread = point->thread;
    struct place *place = take_place(thread, point->waits ? WATCHER | thread : thread);
    if (place == NULL)
        return false;
    uint32_t present = __atomic_load_n(&epoch, __ATOMIC_RELAXED);
    if (place->last != thread)
        place->stack.low = place->stack.top = 0;
    if (place->last != thread || place->epoch != present)
        place->stack.count = 0;
    place->last = thread;
    place->epoch = present;
    if (unwind_walk(&place->stack, point->context, point->now, show_mapping)) {
        sample_tree_forget();
        place->epoch = __atomic_add_fetch(&epoch, 1, __ATOMIC_RELAXED);
    }
    read_calls(place, point);
    show_thread(thread);
    stack->frame = merged(place, &stack->full);
    stack->flags = flags_of(place, point);
    stack->epoch = place->epoch;
    __atomic_store_n(&place->taken, 0, __ATOMIC_RELEASE);
    return true;
}

void sample_store(const struct sample_stack *stack, uint32_t thread, uint32_t weight, uint64_t now)
{
    uint32_t id;
    struct sample_sample *record = stack->full ? NULL : sample_file_room(sizeof *record, &id);
    if (record == NULL) {
        sample_file_lost(weight);
        return;
    }
    record->frame = stack->frame;
    record->thread = thread;
    record->weight = weight < UINT16_MAX ? (uint16_t)weight : UINT16_MAX;
    record->flags = stack->flags;
    record->time = now;
    sample_file_done(record, SAMPLE_SAMPLE, sizeof *record);
}

bool sample_is_valid(const struct sample_stack *stack)
{
    return stack->epoch == __atomic_load_n(&epoch, __ATOMIC_RELAXED);
}

void sample_give_up(void)
{
    for (int i = 0; i < PLACES; i++) {
        struct place *place = __atomic_load_n(&places[i], __ATOMIC_ACQUIRE);
        uint32_t taken = place == NULL ? 0 : __atomic_load_n(&place->taken, __ATOMIC_RELAXED);
        if ((taken & WATCHER) == 0)
            continue;
        place->last = 0;
        __atomic_store_n(&place->taken, 0, __ATOMIC_RELEASE);
    }
    code_map_give_up();
}

void sample_begin_file(void)
{
    memset(named, 0, sizeof named);
    memset(has_record, 0, sizeof has_record);
    code_map_show_again();
    epoch++;
}

void sample_forget(void)
{
    for (int i = 0; i < PLACES; i++)
        if (places[i] != NULL)
            places[i]->taken = places[i]->last = 0;
    memset(named, 0, sizeof named);
    memset(has_record, 0, sizeof has_record);
    code_map_forget();
    epoch++;
}

void sample_finish(void)
{
    sample_forget();
    for (int i = 0; i < PLACES; i++) {
        if (places[i] != NULL)
            munmap(places[i], sizeof *places[i]);
        places[i] = NULL;
    }
}
