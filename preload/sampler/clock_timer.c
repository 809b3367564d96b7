#include "preload/sampler/clock_timer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

enum { SLOWEST = 64 };

static struct clock_timer {
    bool on;
    int id;
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
    struct timespec time = {(time_t)(interval / 1000000000), (long)(interval % 1000000000)};
    struct itimerspec spec = {time, time};
    return syscall(SYS_timer_settime, timer.id, 0, &spec, NULL) == 0;
}

bool clock_timer_start(int signal_number, uint64_t period, struct failure *why)
{
    struct sigevent event;
    if (!finds_running_threads())
        return failure_set(why, FAILURE_CLOCK, 0, "it is older than 6.4");
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = signal_number;
    event.sigev_value.sival_ptr = &timer;
    if (syscall(SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, &event, &timer.id) != 0)
        return failure_set(why, FAILURE_CLOCK, errno, "timer_create");
    timer.period = period;
    __atomic_store_n(&timer.factor, 1, __ATOMIC_RELAXED);
    timer.on = true;
    if (set(period))
        return true;
    failure_set(why, FAILURE_CLOCK, errno, "timer_settime");
    clock_timer_stop();
    return false;
}

void clock_timer_stop(void)
{
    if (timer.on)
        syscall(SYS_timer_delete, timer.id);
    timer.on = false;
}

void clock_timer_forget(void)
{
    timer.on = false;
}

bool clock_timer_is(const siginfo_t *info)
{
    return info->si_code == SI_TIMER && info->si_value.sival_ptr == &timer;
}

uint32_t clock_timer_weight(const siginfo_t *info)
{
    uint32_t missed = info->si_overrun > 0 ? (uint32_t)info->si_overrun : 0;
    return (1 + missed) * __atomic_load_n(&timer.factor, __ATOMIC_RELAXED);
}

void clock_timer_slow_down(void)
{
    uint32_t factor = __atomic_load_n(&timer.factor, __ATOMIC_RELAXED);
    if (factor < SLOWEST && __atomic_compare_exchange_n(&timer.factor, &factor, factor * 2, false,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        set(timer.period * factor * 2);
}
