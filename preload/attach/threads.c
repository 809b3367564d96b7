#include "preload/attach/threads.h"

#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "preload/attach/status.h"
#include "trampoline/base/clock.h"

enum {
    LOOK_AGAIN = 2000000,       /* ns: at the latest, though SIGCHLD wakes */
    ROUNDS = 20,                /* looks for threads that run */
    CALL_STOP = SIGTRAP | 0x80, /* PTRACE_O_TRACESYSGOOD */
    EVENT_STOP = 128, /* linux/ptrace.h, PTRACE_EVENT_STOP; sys/ptrace.h has it not in all libcs */
    REQUEST_SEIZE = 0x4206,
    REQUEST_INTERRUPT = 0x4207,
};

static long request(int number, pid_t thread, long data)
{
    return ptrace((enum __ptrace_request)number, thread, NULL, (void *)data);
}

/* Waits until a traced thread stops or ends. SIGCHLD is blocked (signals.h). */
static void wait_a_moment(void)
{
    sigset_t child;
    struct timespec time = clock_timespec(LOOK_AGAIN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &time);
}

static void note(struct traced *traced, int status)
{
    int signal = WSTOPSIG(status);
    traced->signal = 0;
    if (!WIFSTOPPED(status)) {
        traced->state = TRACED_GONE;
    } else if (status >> 16 == EVENT_STOP) {
        traced->state = signal == SIGTRAP ? TRACED_STOPPED : TRACED_GROUP;
    } else if (signal == CALL_STOP) {
        traced->state = TRACED_CALL;
    } else {
        traced->state = TRACED_SIGNAL;
        traced->signal = signal;
    }
}

/* those that stop too late */

enum { LATE_MAX = 256 };
static struct traced late[LATE_MAX];
static size_t late_count;

static void detach(struct traced *traced)
{
    request(PTRACE_DETACH, traced->thread, traced->signal);
    traced->state = TRACED_GONE;
}

static bool is_late(pid_t thread)
{
    for (size_t i = 0; i < late_count; i++)
        if (late[i].thread == thread)
            return true;
    return false;
}

void traced_attend_late(void)
{
    for (size_t i = 0; i < late_count;) {
        int status;
        pid_t got = waitpid(late[i].thread, &status, __WALL | WNOHANG);
        if (got == 0 || (got < 0 && errno == EINTR)) {
            i++;
            continue;
        }
        if (got > 0 && WIFSTOPPED(status)) {
            note(&late[i], status);
            detach(&late[i]);
        }
        late[i] = late[--late_count];
    }
}

/* A thread that has not stopped cannot be let go: it is in the kernel, or waits for a CPU. It stops
 * when it comes back. */
void traced_release(struct traced *traced)
{
    if (traced->state == TRACED_RUNS && late_count < LATE_MAX)
        late[late_count++] = *traced;
    else if (traced->state != TRACED_GONE)
        detach(traced);
    traced->state = TRACED_GONE;
}

static bool wait_for(struct traced *traced, uint64_t deadline)
{
    for (;;) {
        int status;
        pid_t got = waitpid(traced->thread, &status, __WALL | WNOHANG);
        if (got < 0 && errno != EINTR) {
            traced->state = TRACED_GONE;
            errno = ESRCH;
            return false;
        }
        if (got == traced->thread) {
            note(traced, status);
            errno = ESRCH;
            return traced->state != TRACED_GONE;
        }
        if (clock_now() > deadline) {
            errno = ETIMEDOUT;
            return false;
        }
        traced_attend_late();
        wait_a_moment();
    }
}

/* one thread */

static bool seize(struct traced *traced, pid_t thread)
{
    *traced = (struct traced){.thread = thread};
    errno = ETIMEDOUT;
    if (is_late(thread) || request(REQUEST_SEIZE, thread, PTRACE_O_TRACESYSGOOD) != 0 ||
        request(REQUEST_INTERRUPT, thread, 0) != 0)
        return false;
    traced->state = TRACED_RUNS;
    return true;
}

bool traced_stop(struct traced *traced, pid_t thread, uint64_t deadline)
{
    if (!seize(traced, thread))
        return false;
    if (wait_for(traced, deadline))
        return true;
    int error = errno;
    traced_release(traced);
    errno = error;
    return false;
}

bool traced_resume(struct traced *traced, int how, uint64_t deadline)
{
    int signal = traced->signal;
    traced->signal = 0;
    traced->state = TRACED_RUNS;
    return request(how, traced->thread, signal) == 0 && wait_for(traced, deadline);
}

bool traced_settle(struct traced *traced, uint64_t deadline)
{
    if (traced->state == TRACED_STOPPED)
        return true;
    return request(REQUEST_INTERRUPT, traced->thread, 0) == 0 &&
           traced_resume(traced, PTRACE_CONT, deadline);
}

/* all that run */

static bool is_known(const struct threads *threads, pid_t thread)
{
    for (size_t i = 0; i < threads->count; i++)
        if (threads->stopped[i].thread == thread)
            return true;
    return false;
}

/* Adds those that run and are not known. */
static bool look(struct threads *threads)
{
    static pid_t all[THREADS_MAX];
    size_t count = status_threads(threads->process, all, THREADS_MAX);
    threads->asleep = 0;
    for (size_t i = 0; i < count && threads->count < THREADS_MAX; i++) {
        if (is_known(threads, all[i]))
            continue;
        enum thread_activity activity = status_runs(threads->process, all[i]);
        threads->asleep += activity == THREAD_SLEEPS;
        if (activity == THREAD_RUNS)
            threads->stopped[threads->count++] = (struct traced){.thread = all[i]};
        errno = EBUSY;
        if (activity == THREAD_UNREACHABLE)
            return false;
    }
    return true;
}

bool threads_look(struct threads *threads, pid_t process)
{
    threads->process = process;
    threads->count = 0;
    return look(threads);
}

/* From the thread `first` on. */
static bool stop_from(struct threads *threads, size_t first, pid_t except, uint64_t deadline)
{
    traced_attend_late();
    errno = ETIMEDOUT;
    if (late_count > 0)
        return false;
    for (size_t i = first; i < threads->count; i++)
        if (threads->stopped[i].thread != except)
            seize(&threads->stopped[i], threads->stopped[i].thread);
    for (size_t i = first; i < threads->count; i++)
        if (threads->stopped[i].state == TRACED_RUNS && !wait_for(&threads->stopped[i], deadline) &&
            threads->stopped[i].state != TRACED_GONE)
            return false;
    return true;
}

bool threads_stop_noted(struct threads *threads, pid_t except, uint64_t deadline)
{
    return stop_from(threads, 0, except, deadline);
}

bool threads_stop_running(struct threads *threads, pid_t process, pid_t except, uint64_t deadline)
{
    size_t before = 0;
    if (!threads_look(threads, process))
        return false;
    for (int i = 0; i < ROUNDS && threads->count > before; i++) {
        size_t first = before;
        before = threads->count;
        if (!stop_from(threads, first, except, deadline) || !look(threads))
            return false;
    }
    return true;
}

void threads_release(struct threads *threads)
{
    for (size_t i = 0; i < threads->count; i++)
        traced_release(&threads->stopped[i]);
    threads->count = 0;
}
