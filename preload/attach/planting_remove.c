/* planting_remove.c - the end of a request: nothing of ours stays in the process. */
#include <sys/syscall.h>

#include "attach_code.h"
#include "preload/attach/planting.h"
#include "preload/attach/signals.h"
#include "trampoline/base/clock.h"

enum {
    TRIES = 300,
    TRY_AGAIN = 3000000,      /* ns */
    STOP_PATIENCE = 30000000, /* ns: the others wait meanwhile */
    WINDOW = 64,              /* bytes of code in front of a thread that are looked at */
};

void planting_note_stop(struct planting *planting, uint64_t since, size_t threads, size_t asleep)
{
    struct plant_figures *figures = planting->figures;
    uint64_t time = clock_now() - since;
    if (time > figures->stopped)
        figures->stopped = time;
    if (threads > figures->threads_stopped)
        figures->threads_stopped = threads;
    if (asleep > figures->left_asleep)
        figures->left_asleep = asleep;
}

/* `if (interp->eval_frame == NULL) ...; else interp->eval_frame(...)`, from 3.11 on
 * (Include/internal/pycore_ceval.h, _PyEval_EvalFrame): a compiler may make two loads of it. A thread
 * between them would call NULL if the pointer were given back now. It is in front of the call. */
static bool is_before_call(const struct planting *planting,
                           const struct attach_registers *registers)
{
    uint8_t code[WINDOW];
    size_t got = target_read_some(planting->target, attach_pc(registers), code, sizeof code);
    return attach_code_calls_field_at(code, got, planting->place->pointer_at);
}

static bool none_before_call(const struct planting *planting, const struct remote *remote,
                             const struct threads *threads)
{
    if (planting->place->major == 2)
        return true;
    for (size_t i = 0; i < threads->count; i++) {
        struct attach_registers registers;
        if (threads->stopped[i].state != TRACED_GONE &&
            (!attach_registers_get(threads->stopped[i].thread, &registers) ||
             is_before_call(planting, &registers)))
            return false;
    }
    return !is_before_call(planting, &remote->own);
}

/* Whether no thread can be in the blob's code, nor come there. */
static bool is_deserted(const struct planting *planting, const struct remote *remote,
                        const struct threads *threads)
{
    uint64_t code = planting->base + BLOB_CODE, end = planting->base + BLOB_STACK;
    uint32_t inside;
    return !planting_is_reachable(planting) &&
           target_read(planting->target, planting->base + BLOB_INSIDE, &inside, sizeof inside) &&
           inside == 0 && !attach_registers_point(&remote->own, code, end) &&
           !planting_points_into(planting, attach_stack_pointer(&remote->own), code, end) &&
           planting_stopped_are_clear(planting, threads, code, end);
}

static bool unmap(struct planting *planting, struct remote *remote)
{
    int64_t result = -1;
    const uint64_t arguments[6] = {planting->base, planting_size(planting)};
    if (!remote_call(remote, SYS_munmap, arguments, &result) || result != 0)
        return false;
    planting->base = 0;
    return true;
}

/* With all threads that run stopped, and one of them borrowed. */
static void take_back(struct planting *planting, struct remote *remote, struct threads *threads)
{
    if (!threads_stop_running(threads, planting->target->pid, remote->traced.thread,
                              clock_now() + STOP_PATIENCE) ||
        !none_before_call(planting, remote, threads))
        return;
    planting_drop_slots(planting);
    remote_run(remote, planting->base + attach_blob_take_back, SYS_getpid);
}

/* The blob is closed, so no thread enters it any more. One that is still in it runs: such threads are
 * stopped and looked at. The stacks of threads that sleep were looked at before. */
static void leave(struct planting *planting, struct remote *remote, struct threads *threads)
{
    if (threads_stop_noted(threads, remote->traced.thread, clock_now() + STOP_PATIENCE) &&
        is_deserted(planting, remote, threads))
        unmap(planting, remote);
}

/* Whether a pointer leads to the blob, or the blob would serve a thread that comes. */
static bool is_open(const struct planting *planting)
{
    uint32_t state = 0;
    target_read(planting->target, planting->base + BLOB_STATE, &state, sizeof state);
    return planting->executable && (planting_is_reachable(planting) || state == BLOB_PLANTED);
}

static void try_to_remove(struct planting *planting, enum remote_choice choice, struct refusal *why)
{
    static struct threads threads;
    static struct remote remote;
    uint64_t code = planting->base + BLOB_CODE, end = planting->base + BLOB_STACK;
    bool open = is_open(planting);
    threads.count = threads.asleep = 0;
    if (!open && (!threads_look(&threads, planting->target->pid) ||
                  !planting_sleepers_are_clear(planting, code, end)))
        return;
    if (!remote_borrow(&remote, planting->target, &planting->gadgets, choice, why))
        return;
    if (open)
        take_back(planting, &remote, &threads);
    else
        leave(planting, &remote, &threads);
    size_t count = 1;
    for (size_t i = 0; i < threads.count; i++)
        count += threads.stopped[i].state != TRACED_GONE;
    threads_release(&threads);
    remote_return(&remote);
    planting_note_stop(planting, remote.since, count, threads.asleep);
}

bool planting_remove(struct planting *planting, struct refusal *why)
{
    for (int i = 0; i < TRIES && planting->base != 0; i++) {
        if (i > 1)
            signals_interrupt(TRY_AGAIN);
        try_to_remove(planting, i < TRIES / 2 ? REMOTE_UNSEEN : REMOTE_ANY, why);
    }
    planting->figures->left_mapped = planting->base != 0 ? planting_size(planting) : 0;
    if (planting->base == 0 || !planting_is_reachable(planting))
        return true;
    return refuse(why,
                  "process %d: the interpreter's pointer to its evaluator could not be given "
                  "back; the next Python call does it",
                  planting->target->pid);
}
