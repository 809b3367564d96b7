#include "preload/sampler/clock_timer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "preload/sampler/thread_timers.h"
#include "trampoline/base/clock.h"

enum { SLOWEST = 64 };

static struct clock_timer {
    enum { OFF, OF_PROCESS, OF_THREADS } kind;
    int id; /* of the process's */
    int signal_number;
    uint64_t period;
    uint32_t factor; /* periods between two signals */
} timer;

/* Whether the signal goes to a thread that runs: uname(2), 6.4 or later. */
static bool finds_running_threads(void)
{
    struct utsname name;
    unsigned major, minor;
    return syscall(SYS_uname, &name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
           (major > 6 || (major == 6 && minor >= 4));
}

static bool set(uint64_t interval)
{
    struct itimerspec spec = {clock_timespec(interval), clock_timespec(interval)};
    return syscall(SYS_timer_settime, timer.id, 0, &spec, NULL) == 0;
}

static bool start_process_timer(struct failure *why)
{
    struct sigevent event;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = timer.signal_number;
    event.sigev_value.sival_ptr = &timer;
    if (syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &timer.id) != 0)
        return failure_set(why, FAILURE_CLOCK, errno, "timer_create");
    if (set(timer.period * timer.factor))
        return true;
    failure_set(why, FAILURE_CLOCK, errno, "timer_settime");
    syscall(SYS_timer_delete, timer.id);
    return false;
}

bool clock_timer_start(int signal_number, uint64_t period, bool by_thread, struct failure *why)
{
    timer = (struct clock_timer){.signal_number = signal_number, .period = period, .factor = 1};
    by_thread |= !finds_running_threads();
    if (by_thread ? !thread_timers_start(signal_number, period, why) : !start_process_timer(why))
        return false;
    timer.kind = by_thread ? OF_THREADS : OF_PROCESS;
    return true;
}

void clock_timer_stop(void)
{
    if (timer.kind == OF_PROCESS)
        syscall(SYS_timer_delete, timer.id);
    if (timer.kind == OF_THREADS)
        thread_timers_stop();
    timer.kind = OFF;
}

void clock_timer_forked(void)
{
    if (timer.kind == OF_PROCESS && !start_process_timer(NULL))
        timer.kind = OFF;
    if (timer.kind == OF_THREADS)
        thread_timers_forked();
}

void clock_timer_forget(void)
{
    timer.kind = OFF;
    thread_timers_forget();
}

bool clock_timer_is(const siginfo_t *info)
{
    return info->si_code == SI_TIMER &&
           (info->si_value.sival_ptr == &timer || thread_timers_is(info));
}

uint32_t clock_timer_weight(const siginfo_t *info)
{
    uint32_t missed = info->si_overrun > 0 ? (uint32_t)info->si_overrun : 0;
    return (1 + missed) * __atomic_load_n(&timer.factor, __ATOMIC_RELAXED);
}

void clock_timer_look(uint64_t now)
{
    if (timer.kind == OF_THREADS)
        thread_timers_look(now);
}

void clock_timer_slow_down(void)
{
    uint32_t factor = __atomic_load_n(&timer.factor, __ATOMIC_RELAXED);
    if (factor >= SLOWEST || !__atomic_compare_exchange_n(&timer.factor, &factor, factor * 2, false,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    if (timer.kind == OF_THREADS)
        thread_timers_set(timer.period * factor * 2);
    else
        set(timer.period * factor * 2);
}
