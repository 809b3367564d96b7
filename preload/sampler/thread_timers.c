#include "preload/sampler/thread_timers.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "preload/sampler/directory.h"
#include "preload/sampler/thread_start.h"
#include "trampoline/base/clock.h"
#include "trampoline/base/lock.h"

enum {
    THREADS = 4096,    /* more are not sampled */
    EVERY = 100000000, /* nanoseconds between two looks */
};

/* Threads that have a timer, or had one: open addressing by the thread's number. A timer is made
 * under the lock, which a signal handler does not wait for. */
static struct thread_timers {
    bool on;
    int signal_number;
    uint64_t interval;
    uint64_t looked;
    struct lock lock;
    uint32_t round; /* of looking */
    struct timed {
        uint32_t thread; /* 0: free; from here on none was entered */
        uint32_t round;
        int timer; /* -1: none any more */
    } threads[THREADS];
    struct directory folder;
} timers;

/* linux/time.h: the CPU clock of a thread, by its number; and include/linux/posix-timers.h,
 * CPUCLOCK_PERTHREAD_MASK, CPUCLOCK_SCHED. */
static clockid_t clock_of(uint32_t thread)
{
    enum { PER_THREAD = 4, SCHED = 2 };
    return (clockid_t)(~thread << 3 | PER_THREAD | SCHED);
}

/* A number below `limit`; xorshift of the time. */
static uint64_t any_below(uint64_t limit)
{
    uint64_t bits = clock_now() * 0x9e3779b97f4a7c15u;
    bits ^= bits >> 31;
    return bits * 0xbf58476d1ce4e5b9u % limit;
}

/* When a new thread's first signal is due, in its CPU time. The kernel looks at these timers at its
 * ticks alone: a thread that lives for less than a tick meets one with a probability of its life /
 * tick, and must then be sampled with one of tick / interval. */
static uint64_t first(void)
{
    struct timespec coarse;
    uint64_t tick = 1;
    /* The resolution of this clock is a tick (kernel/time/posix-timers.c). */
    if (syscall(SYS_clock_getres, CLOCK_MONOTONIC_COARSE, &coarse) == 0 && coarse.tv_nsec > 0)
        tick = (uint64_t)coarse.tv_nsec;
    return 1 + any_below(timers.interval) / tick * tick;
}

static int make(uint32_t thread)
{
    struct sigevent event;
    int timer;
    memset(&event, 0, sizeof event);
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = timers.signal_number;
    event.sigev_value.sival_ptr = &timers;
    event._sigev_un._tid = (int)thread;
    if (syscall(SYS_timer_create, clock_of(thread), &event, &timer) != 0)
        return -1;
    struct itimerspec spec = {clock_timespec(timers.interval), clock_timespec(first())};
    syscall(SYS_timer_settime, timer, 0, &spec, NULL);
    return timer;
}

/* pre: taken. The thread's place, or a free one; NULL: there is none. */
static struct timed *place_of(uint32_t thread)
{
    struct timed *reusable = NULL;
    for (uint32_t i = 0; i < THREADS; i++) {
        struct timed *place = &timers.threads[(thread + i) % THREADS];
        if (place->thread == thread)
            return place;
        if (place->timer == -1 && place->thread != 0 && reusable == NULL)
            reusable = place;
        if (place->thread == 0)
            return reusable != NULL ? reusable : place;
    }
    return reusable;
}

static void arm(uint32_t thread)
{
    struct timed *place = place_of(thread);
    if (place == NULL)
        return;
    if (place->thread != thread || place->timer == -1)
        *place = (struct timed){thread, 0, make(thread)};
    place->round = timers.round;
}

static void disarm(struct timed *place)
{
    if (place->thread != 0 && place->timer != -1)
        syscall(SYS_timer_delete, place->timer);
    place->timer = -1;
}

/* pre: taken. */
static void look(void)
{
    uint32_t thread;
    if (!directory_open(&timers.folder, "/proc/self/task"))
        return;
    timers.round++;
    while (directory_next(&timers.folder, &thread))
        arm(thread);
    bool whole = directory_is_whole(&timers.folder);
    directory_close(&timers.folder);
    for (uint32_t i = 0; i < THREADS && whole; i++)
        if (timers.threads[i].thread != 0 && timers.threads[i].round != timers.round)
            disarm(&timers.threads[i]);
}

void thread_timers_look(uint64_t now)
{
    if (now - timers.looked < EVERY || !lock_take_within(&timers.lock, 0))
        return;
    timers.looked = now;
    look();
    lock_release(&timers.lock);
}

/* Called in a thread that begins, or ends. Waits for a moment, because on a busy machine another one
 * may have lost its CPU with the lock; without the lock the next look finds the thread. */
static void changed(bool begins)
{
    enum { PATIENCE = 2000000 }; /* nanoseconds */
    int saved = errno;
    if (timers.on && lock_take_within(&timers.lock, PATIENCE)) {
        uint32_t thread = (uint32_t)syscall(SYS_gettid);
        struct timed *place = place_of(thread);
        if (begins)
            arm(thread);
        else if (place != NULL && place->thread == thread)
            disarm(place);
        lock_release(&timers.lock);
    }
    errno = saved;
}

bool thread_timers_start(int signal_number, uint64_t period, struct failure *why)
{
    timers.signal_number = signal_number;
    timers.interval = period;
    if (!thread_start_watch(changed, why))
        return false;
    lock_take(&timers.lock);
    timers.on = true;
    look();
    lock_release(&timers.lock);
    return true;
}

void thread_timers_stop(void)
{
    if (!timers.on)
        return;
    thread_start_leave();
    lock_take(&timers.lock);
    timers.on = false;
    for (uint32_t i = 0; i < THREADS; i++)
        disarm(&timers.threads[i]);
    memset(timers.threads, 0, sizeof timers.threads);
    lock_release(&timers.lock);
}

void thread_timers_forked(void)
{
    if (!timers.on)
        return;
    memset(timers.threads, 0, sizeof timers.threads);
    lock_reset(&timers.lock);
    changed(true);
}

void thread_timers_forget(void)
{
    thread_start_leave();
    timers.on = false;
    memset(timers.threads, 0, sizeof timers.threads);
    lock_reset(&timers.lock);
}

bool thread_timers_is(const siginfo_t *info)
{
    return info->si_value.sival_ptr == &timers;
}

void thread_timers_set(uint64_t interval)
{
    if (!lock_take_within(&timers.lock, 0))
        return;
    timers.interval = interval;
    struct itimerspec spec = {clock_timespec(interval), clock_timespec(interval)};
    for (uint32_t i = 0; i < THREADS; i++)
        if (timers.threads[i].thread != 0 && timers.threads[i].timer != -1)
            syscall(SYS_timer_settime, timers.threads[i].timer, 0, &spec, NULL);
    lock_release(&timers.lock);
}
