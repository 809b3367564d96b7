/* planting_text.c - 2.7: the jump at the evaluator's entry. */
#include <stdlib.h>
#include <string.h>

#include "preload/attach/planting.h"
#include "preload/attach/status.h"
#include "trampoline/base/clock.h"
#include "trampoline/near_memory.h"

enum {
    STOP_PATIENCE = 500000000, /* ns for all threads that run to stop */
    STACK_WORDS = 64 << 10,    /* of a stack that are looked at: half a megabyte */
    TRIES = 200,
    TRY_AGAIN = 2000000, /* ns */
};

uint64_t planting_near(struct planting *planting, struct refusal *why)
{
    const struct python_place *place = planting->place;
    struct failure failure;
    uint64_t base =
        near_memory_find_in(planting->target->maps.text, place->evaluator, BLOB_SIZE);
    uint8_t *code = malloc(place->evaluator_size + 1);
    bool planned = false;
    if (base == 0)
        refuse(why, "process %d: no free memory near the evaluator", planting->target->pid);
    else if (code == NULL ||
             !target_read(planting->target, place->evaluator, code, place->evaluator_size))
        refuse(why, "process %d: the evaluator cannot be read", planting->target->pid);
    else if (!detour_prepare(&planting->plan, code, place->evaluator_size, place->evaluator,
                             base + BLOB_ENTRY(0), base + BLOB_PROLOGUE, &failure))
        refuse(why, "process %d: %s: %s", planting->target->pid, failure_message(failure.code),
               failure.what);
    else
        planned = true;
    free(code);
    if (!planned)
        return 0;
    memcpy(planting->u.bytes + BLOB_PROLOGUE, planting->plan.relocated,
           planting->plan.relocated_length);
    return base;
}

/* stacks */

static bool points_into(const struct planting *planting, uint64_t stack, uint64_t from,
                        uint64_t to)
{
    static uint64_t words[STACK_WORDS];
    size_t got = target_read_some(planting->target, stack & ~(uint64_t)7, words, sizeof words);
    for (size_t i = 0; i < got / sizeof *words; i++)
        if (words[i] >= from && words[i] < to)
            return true;
    return false;
}

static bool sleepers_are_clear(const struct planting *planting, uint64_t from, uint64_t to)
{
    static pid_t threads[THREADS_MAX];
    size_t count = status_threads(planting->target->pid, threads, THREADS_MAX);
    for (size_t i = 0; i < count; i++) {
        long number;
        uint64_t stack;
        if (status_activity(planting->target->pid, threads[i], &number, &stack) ==
                THREAD_SLEEPS && stack != 0 && points_into(planting, stack, from, to))
            return false;
    }
    return true;
}

bool planting_is_clear(const struct planting *planting, const struct threads *stopped,
                       uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < stopped->count; i++) {
        struct attach_registers registers;
        const struct traced *traced = &stopped->stopped[i];
        if (traced->state == TRACED_GONE)
            continue;
        if (!attach_registers_get(traced->thread, &registers) ||
            attach_registers_point(&registers, from, to) ||
            points_into(planting, attach_stack_pointer(&registers), from, to))
            return false;
    }
    return sleepers_are_clear(planting, from, to);
}

/* text */

/* The bytes that are replaced, and by what; the kept instruction in front of them stays. */
static bool exchange(struct planting *planting, pid_t traced, bool jump)
{
    const struct detour_plan *plan = &planting->plan;
    const uint8_t *original = plan->original + plan->kept, *next = jump ? plan->jump : original;
    uint8_t there[DETOUR_JUMP_LENGTH];
    return target_read(planting->target, plan->site, there, sizeof there) &&
           memcmp(there, jump ? original : plan->jump, sizeof there) == 0 &&
           target_write_text(planting->target, traced, plan->site, next, sizeof there);
}

/* A thread that sleeps now and wakes while five bytes are written could only be hurt if it entered the
 * evaluator within these nanoseconds, for which it needs the interpreter's lock. */
bool planting_write_text(struct planting *planting, bool jump, struct refusal *why)
{
    static struct threads threads;
    const struct detour_plan *plan = &planting->plan;
    uint64_t behind = plan->site - plan->kept + plan->length;
    for (int i = 0; i < TRIES; i++) {
        uint64_t since = clock_now();
        bool stopped = threads_stop_running(&threads, planting->target->pid, 0,
                                            since + STOP_PATIENCE);
        bool clear = stopped && planting_is_clear(planting, &threads, plan->site + 1, behind);
        pid_t traced = threads.count > 0 ? threads.stopped[0].thread : 0;
        bool written = clear && exchange(planting, traced, jump);
        size_t count = threads.count;
        threads_release(&threads);
        planting_note_stop(planting, since, count, threads.asleep);
        if (written) {
            planting->in_text = jump;
            return true;
        }
        if (clear)
            return refuse(why, "process %d: the evaluator's entry cannot be written, or has changed: "
                               "another tool has patched it", planting->target->pid);
        planting_interrupted(TRY_AGAIN);
    }
    return refuse(why, "process %d: there is always a thread in the evaluator's first bytes: try "
                       "again", planting->target->pid);
}
