#include "preload/attach/remote_call.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "attach_code.h"
#include "preload/attach/status.h"
#include "trampoline/base/clock.h"

enum {
    STOP_PATIENCE = 200000000, /* ns for one thread to stop: it may be in the kernel */
    TEXT_PART = 1 << 20,
};
#define CALL_PATIENCE ((uint64_t)10000000000) /* ns for a call that only waits for a CPU */

/* gadgets */

static bool search(const struct target *target, const struct region *region,
                   struct gadgets *gadgets)
{
    static uint8_t text[TEXT_PART];
    for (uint64_t at = region->start; at < region->end; at += sizeof text) {
        size_t left = region->end - at;
        size_t size = target_read_some(target, at, text, left < sizeof text ? left : sizeof text);
        size_t call = attach_code_system_call(text, size);
        size_t back = attach_code_signal_return(text, size);
        if (gadgets->system_call == 0 && call != SIZE_MAX)
            gadgets->system_call = at + call;
        if (gadgets->signal_return == 0 && back != SIZE_MAX)
            gadgets->signal_return = at + back;
    }
    return gadgets->system_call != 0 && gadgets->signal_return != 0;
}

static bool is_libc(const char *path)
{
    const char *name = maps_name(path);
    return strncmp(name, "libc.", 5) == 0 || strncmp(name, "libc-", 5) == 0 ||
           strncmp(name, "ld-musl", 7) == 0;
}

bool remote_gadgets(const struct target *target, struct gadgets *gadgets, struct refusal *why)
{
    *gadgets = (struct gadgets){0, 0};
    for (int libc = 1; libc >= 0; libc--)
        for (size_t i = 0; i < target->maps.count; i++) {
            const struct region *region = &target->maps.regions[i];
            if (region->executable && region->path[0] == '/' &&
                is_libc(region->path) == (libc != 0) && search(target, region, gadgets))
                return true;
        }
    return refuse(why, "process %d: its C library has no system call that could be used",
                  target->pid);
}

/* the choice of a thread */

/* System calls that the kernel repeats after a stop without a trace (signal(7), and each one's
 * ERESTART... in the kernel), and which programs sleep in. */
static bool is_repeated(long number)
{
    static const long calls[] = {
        SYS_futex,     SYS_poll,   SYS_ppoll, SYS_select,  SYS_pselect6,
        SYS_nanosleep, SYS_accept, SYS_wait4, SYS_accept4, SYS_clock_nanosleep,
        SYS_waitid,    SYS_pause,  SYS_read,  SYS_write,   SYS_rt_sigsuspend,
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i] == number)
            return true;
    return false;
}

/* 0 for the best. */
static int rank_of(pid_t process, pid_t thread)
{
    enum { RUNS, WAITS, REPEATED, OTHER, NONE };
    long number;
    uint64_t unused;
    switch (status_activity(process, thread, &number, &unused)) {
    case THREAD_RUNS:
        return RUNS;
    case THREAD_SLEEPS:
        return number == SYS_futex ? WAITS : is_repeated(number) ? REPEATED : OTHER;
    default:
        return NONE;
    }
}

/* Whether the thread, which has stopped, can make calls; and has room for the way back. */
static bool prepare(struct remote *remote)
{
    pid_t thread = remote->traced.thread;
    struct attach_frame *frame = &remote->frame;
    return remote->traced.state == TRACED_STOPPED && attach_registers_get(thread, &remote->own) &&
           attach_frame_make(thread, &remote->own, remote->gadgets.signal_return, frame) &&
           target_read(remote->target, frame->address, remote->stack, frame->size) &&
           target_write(remote->target, frame->address, frame->bytes, frame->size);
}

static bool try_thread(struct remote *remote, pid_t thread)
{
    if (!traced_stop(&remote->traced, thread, clock_now() + STOP_PATIENCE))
        return false;
    remote->since = clock_now();
    if (prepare(remote))
        return true;
    int error = errno;
    traced_release(&remote->traced);
    errno = error;
    return false;
}

enum remote_choice remote_choice_of(int i, unsigned major)
{
    enum { TRIES = 200 };
    return i > TRIES && major != 2 ? REMOTE_ANY : REMOTE_UNSEEN;
}

bool remote_borrow(struct remote *remote, const struct target *target,
                   const struct gadgets *gadgets, enum remote_choice choice, struct refusal *why)
{
    static pid_t threads[THREADS_MAX];
    enum { TRIES = 8, RANKS_UNSEEN = 3, RANKS_ANY = 4 };
    int ranks = choice == REMOTE_ANY ? RANKS_ANY : RANKS_UNSEEN, error = ESRCH;
    remote->target = target;
    remote->gadgets = *gadgets;
    size_t count = status_threads(target->pid, threads, THREADS_MAX);
    for (int rank = 0; rank < ranks; rank++)
        for (size_t i = 0, tries = 0; i < count && tries < TRIES; i++) {
            if (rank_of(target->pid, threads[i]) != rank)
                continue;
            tries++;
            if (try_thread(remote, threads[i]))
                return true;
            error = errno;
            if (error == EPERM)
                rank = ranks;
        }
    errno = error;
    if (count == 0)
        return refuse(why, "process %d has ended", target->pid);
    return refuse(why,
                  "process %d: none of its threads can be stopped without a trace now (%s): try "
                  "again when it works",
                  target->pid, strerror(error));
}

/* calls */

/* A fault that our own code has raised is not the program's; one that was sent is. */
static bool is_own_fault(const struct traced *traced)
{
    siginfo_t info;
    switch (traced->signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGSYS:
        return ptrace(PTRACE_GETSIGINFO, traced->thread, NULL, &info) == 0 && info.si_code > 0;
    default:
        return false;
    }
}

/* A stop that is not part of a call: a signal on its way, or the whole process is stopped. */
static bool give_up(struct remote *remote)
{
    if (remote->traced.state == TRACED_SIGNAL && is_own_fault(&remote->traced))
        remote->traced.signal = 0;
    return false;
}

/* To the next system call's beginning or end. */
static bool next_call_stop(struct remote *remote, struct attach_registers *registers)
{
    return traced_resume(&remote->traced, PTRACE_SYSCALL, clock_now() + CALL_PATIENCE) &&
           remote->traced.state == TRACED_CALL &&
           attach_registers_get(remote->traced.thread, registers);
}

/* Whether the thread is where a call may begin. */
static bool may_call(const struct remote *remote)
{
    return remote->traced.state == TRACED_STOPPED || remote->traced.state == TRACED_CALL;
}

/* From `registers` to the end of the system call that they lead to, `number`. */
static bool run_to(struct remote *remote, struct attach_registers *registers, long number)
{
    return (may_call(remote) && attach_registers_set(remote->traced.thread, registers) &&
            next_call_stop(remote, registers) && attach_system_call(registers) == number &&
            next_call_stop(remote, registers)) ||
           give_up(remote);
}

bool remote_call(struct remote *remote, long number, const uint64_t arguments[6], int64_t *result)
{
    struct attach_registers registers =
        attach_call(&remote->own, &remote->frame, remote->gadgets.system_call, number, arguments);
    if (!run_to(remote, &registers, number))
        return false;
    *result = (int64_t)attach_result(&registers);
    return true;
}

/* The thread never gets as far as rt_sigreturn, which would make a timed wait that is to be repeated
 * fail with EINTR (arch/x86/kernel/signal_64.c, restore_sigcontext). */
bool remote_run(struct remote *remote, uint64_t code, long number)
{
    struct attach_registers registers = attach_run(&remote->own, &remote->frame, code);
    return run_to(remote, &registers, number);
}

uint64_t remote_return(struct remote *remote)
{
    struct traced *traced = &remote->traced;
    if (traced->state == TRACED_CALL)
        traced_settle(traced, clock_now() + CALL_PATIENCE);
    /* One that does not stop finds its own way back. */
    if (traced->state == TRACED_STOPPED || traced->state == TRACED_SIGNAL ||
        traced->state == TRACED_GROUP) {
        /* First the registers: the bytes are the way back until then. */
        attach_registers_set(traced->thread, &remote->own);
        target_write(remote->target, remote->frame.address, remote->stack, remote->frame.size);
    }
    traced_release(traced);
    return clock_now() - remote->since;
}
