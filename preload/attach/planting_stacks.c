/* planting_stacks.c - whether a thread may return into the blob. The blob leaves by a jump and has no
 * return address anywhere; but a signal's handler may have interrupted it. */
#include "preload/attach/planting.h"
#include "preload/attach/status.h"

enum { STACK_WORDS = 8 << 10 }; /* of a stack that are looked at: 64 KiB */

bool planting_points_into(const struct planting *planting, uint64_t stack, uint64_t from,
                          uint64_t to)
{
    static uint64_t words[STACK_WORDS];
    size_t got = target_read_some(planting->target, stack & ~(uint64_t)7, words, sizeof words);
    for (size_t i = 0; i < got / sizeof *words; i++)
        if (words[i] >= from && words[i] < to)
            return true;
    return false;
}

bool planting_sleepers_are_clear(const struct planting *planting, uint64_t from, uint64_t to)
{
    static pid_t threads[THREADS_MAX];
    size_t count = status_threads(planting->target->pid, threads, THREADS_MAX);
    for (size_t i = 0; i < count; i++) {
        long number;
        uint64_t stack;
        if (status_activity(planting->target->pid, threads[i], &number, &stack) == THREAD_SLEEPS &&
            stack != 0 && planting_points_into(planting, stack, from, to))
            return false;
    }
    return true;
}

bool planting_stopped_are_clear(const struct planting *planting, const struct threads *stopped,
                                uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < stopped->count; i++) {
        struct attach_registers registers;
        const struct traced *traced = &stopped->stopped[i];
        if (traced->state == TRACED_GONE)
            continue;
        if (!attach_registers_get(traced->thread, &registers) ||
            attach_registers_point(&registers, from, to) ||
            planting_points_into(planting, attach_stack_pointer(&registers), from, to))
            return false;
    }
    return true;
}
