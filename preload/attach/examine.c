#include "preload/attach/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/attach/remote_call.h"
#include "preload/attach/seccomp_filter.h"
#include "preload/attach/signals.h"
#include "trampoline/base/clock.h"

enum { LOOK_AGAIN = 20000000 }; /* ns */

/* the process */

static bool look_at_status(pid_t pid, const struct status *status, struct refusal *why)
{
    if (status->state == 'Z' || status->state == 'X')
        return refuse(why, "process %d has ended, and its parent has not asked for its status yet",
                      pid);
    if (status->state == 'T' || (status->state == 't' && status->tracer == 0))
        return refuse(why, "process %d is stopped: let it go on first (kill -CONT %d)", pid, pid);
    if (status->seccomp == 1)
        return refuse(why,
                      "process %d is in seccomp's strict mode, in which it may only read and "
                      "write",
                      pid);
    return true;
}

/* A kernel thread has no memory; an address in it tells whether we may look at all. */
static bool open_target(pid_t pid, const struct status *status, struct target *target,
                        struct refusal *why)
{
    char path[64];
    target->pid = pid;
    target->process = -1;
    if (!maps_read(pid, &target->maps)) {
        if (errno == EACCES || errno == EPERM)
            return status_explain_permission(pid, status, why);
        return refuse(why, "process %d: its mappings cannot be read: %s", pid, strerror(errno));
    }
    if (target->maps.count == 0)
        return refuse(why,
                      "process %d has no memory of its own: it is a thread of the kernel, or "
                      "has just ended",
                      pid);
    uint8_t byte;
    errno = 0;
    for (size_t i = 0; i < target->maps.count; i++)
        if (target->maps.regions[i].readable && target->maps.regions[i].path[0] == '/' &&
            target_read(target, target->maps.regions[i].start, &byte, 1))
            break;
        else if (errno == EPERM)
            return status_explain_permission(pid, status, why);
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    target->process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (target->process >= 0 && syscall(SYS_flock, target->process, LOCK_EX | LOCK_NB) != 0 &&
        errno == EWOULDBLOCK)
        return refuse(why,
                      "process %d: another pyperf-attach is at work there: try again when it "
                      "has ended",
                      pid);
    return true;
}

/* the way */

/* Whether the system call is refused, whatever it is made for: there is no process 0. */
static bool is_ptrace_forbidden(void)
{
    return syscall(SYS_ptrace, (long)PTRACE_SEIZE, 0L, 0L, 0L) != 0 && errno != ESRCH;
}

/* Why ptrace is refused, though memory can be read; and in *remedy what to do. */
static bool find_refusal(pid_t pid, const struct status *status, struct refusal *refused,
                         const char **remedy)
{
    struct status tracer;
    if (status->tracer != 0) {
        bool named = status_read(status->tracer, &tracer);
        *remedy = "end that first";
        return !refuse(refused, "process %d is traced by process %d (%s)", pid, status->tracer,
                       named ? tracer.name : "in another namespace");
    }
    *remedy = "run this with another seccomp profile (docker: --cap-add SYS_PTRACE)";
    return is_ptrace_forbidden() &&
           !refuse(refused, "process %d may not be traced: ptrace is forbidden to this process",
                   pid);
}

static bool choose_way(struct examined *examined, struct refusal *why)
{
    const char *remedy, *line = examined->refused.line;
    examined->has_point = safe_point_find(&examined->target, &examined->place, &examined->point);
    if (!find_refusal(examined->target.pid, &examined->status, &examined->refused, &remedy))
        return true;
    switch (examined->has_point) {
    case SAFE_POINT_FOUND:
        examined->way = WAY_INTERPRETER;
        return true;
    case SAFE_POINT_DISABLED:
        return refuse(why,
                      "%s, and its Python %u.%u takes no requests otherwise: %s, or start it "
                      "without -X disable-remote-debug and PYTHON_DISABLE_REMOTE_DEBUG",
                      line, examined->place.major, examined->place.minor, remedy);
    case SAFE_POINT_NO_THREAD:
        return refuse(why, "%s, and the interpreter's first thread has ended: %s", line, remedy);
    default:
        return refuse(why, "%s: %s", line, remedy);
    }
}

/* filters */

/* Of a thread that is stopped. When no thread can be had, a mere look leaves the filters unread: what is
 * done to the process afterwards begins with them. */
static bool look_at_filters(struct examined *examined, uint64_t patience, struct refusal *why)
{
    static struct remote remote;
    struct gadgets gadgets;
    pid_t pid = examined->target.pid;
    uint64_t deadline = clock_now() + patience;
    if (examined->status.seccomp != 2 || examined->library.function != 0)
        return true;
    if (examined->way == WAY_INTERPRETER)
        return seccomp_filter_allows(pid, pid, &examined->status, why);
    if (!remote_gadgets(&examined->target, &gadgets, why))
        return false;
    for (int i = 0; !remote_borrow(&remote, &examined->target, &gadgets,
                                   remote_choice_of(i, examined->place.major), why);
         i++) {
        if (errno != EPERM && patience == 0)
            return true;
        if (errno == EPERM || clock_now() > deadline)
            return false;
        if (signals_interrupt(REMOTE_TRY_AGAIN))
            return refuse(why, "interrupted: nothing has been changed in process %d", pid);
    }
    bool allowed = seccomp_filter_allows(pid, remote.traced.thread, &examined->status, why);
    remote_return(&remote);
    return allowed;
}

static bool wait_until_ready(const struct examined *examined, uint64_t patience,
                             struct refusal *why)
{
    uint64_t deadline = clock_now() + patience;
    while (!python_place_is_ready(&examined->target, &examined->place)) {
        if (clock_now() > deadline)
            return refuse(why,
                          "process %d: its interpreter is still starting, or has ended: try "
                          "again",
                          examined->target.pid);
        if (signals_interrupt(LOOK_AGAIN))
            return refuse(why, "interrupted: nothing has been changed in process %d",
                          examined->target.pid);
    }
    return true;
}

bool examine(pid_t pid, uint64_t patience, struct examined *examined, struct refusal *why)
{
    memset(examined, 0, sizeof *examined);
    examined->target.process = -1;
    if (!status_read(pid, &examined->status))
        return errno == ENOENT || errno == ESRCH
                   ? refuse(why, "there is no process %d", pid)
                   : refuse(why, "process %d: /proc/%d/status: %s", pid, pid, strerror(errno));
    examined->has_status = true;
    if (!look_at_status(pid, &examined->status, why) ||
        !open_target(pid, &examined->status, &examined->target, why) ||
        !python_place_find(&examined->target, &examined->place, why))
        return false;
    examined->has_python = true;
    if (!library_there_find(&examined->target, &examined->library, why))
        return false;
    return wait_until_ready(examined, patience, why) && choose_way(examined, why) &&
           look_at_filters(examined, patience, why);
}

/* The place keeps pointers into the maps, so it is found again, too. */
bool examine_again(struct examined *examined, struct refusal *why)
{
    python_place_close(&examined->place);
    examined->has_python = false;
    maps_free(&examined->target.maps);
    if (!maps_read(examined->target.pid, &examined->target.maps))
        return refuse(why, "process %d has ended", examined->target.pid);
    if (!python_place_find(&examined->target, &examined->place, why))
        return false;
    examined->has_python = true;
    return library_there_find(&examined->target, &examined->library, why);
}

void examine_close(struct examined *examined)
{
    if (examined->has_python)
        python_place_close(&examined->place);
    maps_free(&examined->target.maps);
    if (examined->target.process >= 0)
        close(examined->target.process);
}
