#include "preload/sampler/sampler.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/cpython/evaluator_code.h"
#include "preload/cpython/python.h"
#include "preload/sampler/clock_timer.h"
#include "preload/sampler/sample.h"
#include "preload/sampler/sample_file.h"
#include "preload/sampler/sample_tree.h"
#include "trampoline/base/clock.h"
#include "trampoline/base/debug.h"
#include "trampoline/unwind/walk.h"

enum {
    SIGNAL = SIGURG,
    FASTEST = 10000, /* Hz */
    /* Of the program's time the handler may take a part: of so many samples on average. */
    AVERAGED = 64,
    PART = 10,
};

static struct sampler {
    bool on;
    uint64_t period;
    uint32_t python;         /* version */
    struct sigaction before; /* what the signal did */
    uint32_t missed;         /* weight of signals that found their thread busy */
    uint32_t taken;          /* samples since the time was last looked at */
    uint64_t spent;          /* nanoseconds that these took */
} sampler;

unsigned sampler_wanted(const char *value, bool *wrong)
{
    char *end;
    *wrong = false;
    if (value == NULL || *value == '\0')
        return 0;
    errno = 0;
    long hz = strtol(value, &end, 10);
    *wrong = *end != '\0' || errno != 0 || hz < 0 || hz > FASTEST;
    return *wrong ? 0 : (unsigned)hz;
}

static void pass_on(int number, siginfo_t *info, void *context)
{
    const struct sigaction *before = &sampler.before;
    if ((before->sa_flags & SA_SIGINFO) != 0)
        before->sa_sigaction(number, info, context);
    else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN)
        before->sa_handler(number);
}

static void limit_time(uint64_t spent)
{
    __atomic_fetch_add(&sampler.spent, spent, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&sampler.taken, 1, __ATOMIC_RELAXED) % AVERAGED == 0 &&
        __atomic_exchange_n(&sampler.spent, 0, __ATOMIC_RELAXED) > sampler.period * AVERAGED / PART)
        clock_timer_slow_down();
}

static void handle(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    if (!clock_timer_is(info)) {
        pass_on(number, info, context);
        return;
    }
    uint32_t weight = clock_timer_weight(info);
    if (!__atomic_load_n(&sampler.on, __ATOMIC_ACQUIRE) ||
        !sample_file_open(sampler.python, sampler.period)) {
        errno = saved;
        return;
    }
    uint64_t now = clock_now();
    weight += __atomic_exchange_n(&sampler.missed, 0, __ATOMIC_RELAXED);
    if (sample_take(context, (uint32_t)syscall(SYS_gettid), weight, now))
        limit_time(clock_now() - now);
    else
        __atomic_fetch_add(&sampler.missed, weight, __ATOMIC_RELAXED);
    errno = saved;
}

static bool set_handler(struct failure *why)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGNAL, NULL, &sampler.before) != 0 || sampler.before.sa_handler != SIG_DFL)
        return failure_set(why, FAILURE_SIGNAL, 0, "not sampling");
    return sigaction(SIGNAL, &action, NULL) == 0 ||
           failure_set(why, FAILURE_SIGNAL, errno, "sigaction");
}

/* Undoes what has been done. */
static bool refuse(bool rules, bool tree)
{
    if (tree)
        sample_tree_finish();
    if (rules)
        unwind_finish();
    return false;
}

bool sampler_start(unsigned hz, const char *directory, struct failure *why)
{
    if (sampler.on)
        return true;
    sampler.period = 1000000000u / hz;
    sampler.python = (uint32_t)python.layout->major << 8 | python.layout->minor;
    if (!sample_file_start(directory, why))
        return false;
    if (!unwind_start())
        return failure_set(why, FAILURE_MEMORY, errno, "rules of unwinding");
    if (!sample_tree_start()) {
        failure_set(why, FAILURE_MEMORY, errno, "stacks");
        return refuse(true, false);
    }
    evaluator_code_find();
    if (!set_handler(why))
        return refuse(true, true);
    __atomic_store_n(&sampler.on, true, __ATOMIC_RELEASE);
    if (!clock_timer_start(SIGNAL, sampler.period, why)) {
        sampler.on = false;
        sigaction(SIGNAL, &sampler.before, NULL);
        return refuse(true, true);
    }
    debug_log(sampler, 1, "on, %u Hz, into %s", hz, directory);
    return true;
}

/* A handler that the program has set meanwhile stays. */
static void remove_handler(void)
{
    struct sigaction present;
    if (sigaction(SIGNAL, NULL, &present) == 0 && present.sa_sigaction == handle)
        sigaction(SIGNAL, &sampler.before, NULL);
}

void sampler_stop(void)
{
    if (!sampler.on)
        return;
    clock_timer_stop();
    __atomic_store_n(&sampler.on, false, __ATOMIC_RELEASE);
    bool idle = sample_finish();
    debug_log(sampler, 1, "off%s",
              idle ? "" : "; a thread is still being sampled: its memory stays");
    if (!idle)
        return;
    remove_handler();
    sample_file_finish();
    sample_tree_finish();
    unwind_finish();
}

void sampler_forked(void)
{
    int saved = errno;
    struct failure why;
    if (sampler.on) {
        clock_timer_forget();
        sample_forget();
        sample_file_forget();
        sample_tree_forget_all();
        sampler.missed = 0;
        if (!clock_timer_start(SIGNAL, sampler.period, &why))
            debug_log(sampler, 1, "no timer after fork");
    }
    errno = saved;
}
