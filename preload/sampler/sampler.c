#include "preload/sampler/sampler.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arch_thread.h"
#include "preload/cpython/evaluator_code.h"
#include "preload/cpython/python.h"
#include "preload/cpython/python_threads.h"
#include "preload/sampler/clock_timer.h"
#include "preload/sampler/gate.h"
#include "preload/sampler/process_end.h"
#include "preload/sampler/rotation.h"
#include "preload/sampler/sample.h"
#include "preload/sampler/sample_file.h"
#include "preload/sampler/sample_tree.h"
#include "preload/sampler/signal_mask.h"
#include "preload/sampler/waiting.h"
#include "preload/sampler/watcher.h"
#include "trampoline/base/clock.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/fork_watch.h"
#include "trampoline/base/libc_functions.h"
#include "trampoline/base/lock.h"
#include "trampoline/base/report.h"
#include "trampoline/unwind/walk.h"

enum {
    SIGNAL = SIGURG,
    FASTEST = 10000, /* Hz */
    LONGEST = 86400, /* seconds of a file */
    KEPT = 10,       /* files, if it is not said how many */
    /* Of the program's time the handler may take a part: of so many timed samples on average. */
    EVERY = 8, /* sample is timed */
    AVERAGED = 16,
    TIMES = 32,
    PART = 10,
};

/* Off, handlers that are inside the gate may still use what was made when it was switched on. */
bool sampler_on;

static struct sampler {
    struct lock lock; /* switching */
    struct sampler_wish wish;
    const char *directory;
    bool sees_forks;
    uint64_t period;
    uint32_t python;       /* version */
    uint32_t missed;       /* weight of signals that found their thread busy */
    uint32_t taken, timed; /* samples, and those that were timed */
    /* Of the timed ones since they were last looked at: periods, and nanoseconds that they took. */
    uint64_t weight, spent;
    /* Samples that took less than 2^n nanoseconds, and not less than half of it. */
    uint32_t times[TIMES];
} sampler = {.lock = LOCK_INITIALIZER};

struct own {
    uint32_t number; /* of this thread; 0: not known */
    bool inside;     /* the handler */
};
ARCH_THREAD_VARIABLE(struct own, of_thread)

static bool read_word(const char **text, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

/* A word, and behind it a number from 1 on. */
static bool read_number(const char **text, const char *word, long most, unsigned *number)
{
    const char *at = *text;
    char *end;
    if (!read_word(&at, word) || *at < '0' || *at > '9')
        return false;
    long value = strtol(at, &end, 10);
    *text = end;
    *number = (unsigned)value;
    return value >= 1 && value <= most;
}

bool sampler_read_wish(const char *value, struct sampler_wish *wish)
{
    char *end;
    *wish = (struct sampler_wish){0};
    if (value == NULL || *value == '\0')
        return true;
    struct sampler_wish read = {0};
    errno = 0;
    long hz = strtol(value, &end, 10);
    const char *words = end;
    while (*words != '\0') {
        if (read_word(&words, ":later"))
            read.later = true;
        else if (read_word(&words, ":threads"))
            read.by_thread = true;
        else if (read_word(&words, ":wall"))
            read.wall = true;
        else if (!read_number(&words, ":every=", LONGEST, &read.every) &&
                 !read_number(&words, ":keep=", SAMPLE_FILES_KEPT, &read.keep))
            return false;
    }
    if (errno != 0 || end == value || hz < 0 || hz > FASTEST || (read.keep != 0 && read.every == 0))
        return false;
    read.hz = (unsigned)hz;
    if (read.every != 0 && read.keep == 0)
        read.keep = KEPT;
    *wish = read;
    return true;
}

void sampler_prepare(const struct sampler_wish *wish, const char *directory)
{
    sampler.wish = *wish;
    sampler.directory = directory;
    rotation_set((uint64_t)wish->every * 1000000000u);
    sample_file_keep(wish->keep);
}

bool sampler_is_on(void)
{
    return __atomic_load_n(&sampler_on, __ATOMIC_RELAXED);
}

bool sampler_is_wanted(void)
{
    return sampler.wish.hz != 0;
}

bool sampler_begins(void)
{
    return sampler.wish.hz != 0 && !sampler.wish.later;
}

/* `spent` nanoseconds of CPU time, because a handler may have to wait for a CPU, on a sample that
 * stands for `weight` periods. */
static void limit_time(uint64_t spent, uint32_t weight)
{
    __atomic_fetch_add(&sampler.spent, spent, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sampler.weight, weight, __ATOMIC_RELAXED);
    int bits = spent == 0 ? 0 : 64 - __builtin_clzll(spent);
    __atomic_fetch_add(&sampler.times[bits < TIMES ? bits : TIMES - 1], 1, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&sampler.timed, 1, __ATOMIC_RELAXED) % AVERAGED != 0)
        return;
    uint64_t all = __atomic_exchange_n(&sampler.weight, 0, __ATOMIC_RELAXED) * sampler.period;
    if (__atomic_exchange_n(&sampler.spent, 0, __ATOMIC_RELAXED) > all / PART)
        clock_timer_slow_down();
}

/* gettid(2), once for each thread. */
static uint32_t thread_number(void)
{
    struct own *own = of_thread_here();
    if (own->number == 0)
        own->number = (uint32_t)syscall(SYS_gettid);
    return own->number;
}

static void sample(const siginfo_t *info, const void *context)
{
    uint32_t weight = clock_timer_weight(info);
    if (!rotation_open(sampler.python, sampler.period, clock_now()))
        return;
    bool timed = __atomic_add_fetch(&sampler.taken, 1, __ATOMIC_RELAXED) % EVERY == 0;
    uint64_t now = clock_now(), began = timed ? clock_read(CLOCK_THREAD_CPUTIME_ID) : 0;
    clock_timer_look(now);
    watcher_look(now);
    weight += __atomic_exchange_n(&sampler.missed, 0, __ATOMIC_RELAXED);
    struct sample_point point = {
        .context = context, .state = python_threads_own(), .thread = thread_number(), .now = now};
    struct sample_stack stack;
    if (sample_find(&point, &stack)) {
        sample_store(&stack, point.thread, weight, now);
        if (timed)
            limit_time(clock_read(CLOCK_THREAD_CPUTIME_ID) - began, weight);
    } else {
        __atomic_fetch_add(&sampler.missed, weight, __ATOMIC_RELAXED);
    }
}

static void handle(int number, siginfo_t *info, void *context)
{
    (void)number;
    int saved = errno;
    struct own *own = of_thread_here();
    if (!clock_timer_is(info)) /* ignored, as by default */
        return;
    if (own->inside) { /* a handler of ours was interrupted: no stack is used for another one */
        __atomic_fetch_add(&sampler.missed, clock_timer_weight(info), __ATOMIC_RELAXED);
        return;
    }
    own->inside = true;
    if (!gate_enter()) {
        __atomic_fetch_add(&sampler.missed, clock_timer_weight(info), __ATOMIC_RELAXED);
    } else {
        if (__atomic_load_n(&sampler_on, __ATOMIC_SEQ_CST))
            sample(info, context);
        gate_leave();
    }
    own->inside = false;
    errno = saved;
}

/* In the watcher. */
static bool begin_watching(uint32_t process)
{
    return waiting_begin(process, sampler.period);
}

static void watch(void)
{
    if (!gate_enter())
        return;
    if (__atomic_load_n(&sampler_on, __ATOMIC_SEQ_CST) && sample_file_is_watched())
        waiting_look();
    gate_leave();
}

static void end_watching(void)
{
    if (!gate_enter())
        return;
    if (__atomic_load_n(&sampler_on, __ATOMIC_SEQ_CST) && sample_file_is_watched())
        waiting_end();
    gate_leave();
}

static void give_up(void)
{
    waiting_give_up();
    sample_give_up();
    gate_leave();
}

static struct watcher_task task = {
    .begin = begin_watching, .look = watch, .give_up = give_up, .end = end_watching};

/* A process that waits from its begin on has no sample of CPU time that would make its file. Where
 * nobody may look at threads that wait, those that run are still sampled. */
static void start_watching(void)
{
    struct failure why;
    task.period = sampler.period;
    if (watcher_start(&task, &why)) {
        sample_file_open(sampler.python, sampler.period);
        process_end_watch(watcher_pause);
    } else {
        report_failure("sampling CPU time alone", &why);
    }
}

static void stop_watching(void)
{
    process_end_leave();
    watcher_stop();
}

/* The program's own action stays, whenever it was set. */
static bool is_free(void)
{
    struct sigaction present;
    return sigaction(SIGNAL, NULL, &present) == 0 &&
           (present.sa_handler == SIG_DFL || present.sa_sigaction == handle);
}

static bool set_handler(struct failure *why)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handle;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    return (is_free() && sigaction(SIGNAL, &action, NULL) == 0) ||
           failure_set(why, FAILURE_SIGNAL, 0, "%s", "");
}

static void remove_handler(void)
{
    struct sigaction action;
    signal_mask_leave();
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    if (is_free())
        sigaction(SIGNAL, &action, NULL);
}

/* Frees the tables of a start; the file is completed before. pre: no handler runs. */
static void free_memory(void)
{
    sample_finish();
    sample_tree_finish();
    unwind_finish();
}

/* Whether no handler runs any more, after a second at most: a thread may be stopped in one. */
static bool is_idle(void)
{
    enum { TRIES = 1000, MILLISECOND = 1000000 };
    struct timespec wait = {0, MILLISECOND};
    for (int i = 0; !gate_is_idle(); i++) {
        if (i == TRIES)
            return false;
        syscall(SYS_nanosleep, &wait, NULL);
    }
    return true;
}

/* Completes the file and frees the memory, unless a thread is still being sampled: then the next
 * switch does so. */
static bool clear(void)
{
    if (!is_idle())
        return false;
    waiting_finish();
    sample_file_finish();
    free_memory();
    return true;
}

static bool make_memory(struct failure *why)
{
    return (unwind_start() && sample_tree_start()) ||
           failure_set(why, FAILURE_MEMORY, errno, "rules of unwinding, and stacks");
}

/* Once: fork handlers stay. */
static bool watch_forks(struct failure *why)
{
    if (!sampler.sees_forks && pthread_atfork(NULL, NULL, sampler_forked) != 0)
        return failure_set(why, FAILURE_MEMORY, 0, "pthread_atfork");
    sampler.sees_forks = true;
    return true;
}

static bool set_up(struct failure *why)
{
    if (!watch_forks(why) || !sample_file_start(sampler.directory, why) || !make_memory(why) ||
        !set_handler(why))
        return false;
    libc_functions_find(); /* which a handler may not do: it walks the loader's list */
    signal_mask_watch(SIGNAL);
    evaluator_code_find();
    python_threads_start();
    __atomic_store_n(&sampler_on, true, __ATOMIC_SEQ_CST);
    if (sampler.wish.wall)
        start_watching();
    if (clock_timer_start(SIGNAL, sampler.period, sampler.wish.by_thread, why))
        return true;
    stop_watching();
    __atomic_store_n(&sampler_on, false, __ATOMIC_SEQ_CST);
    remove_handler();
    return false;
}

static bool start(struct failure *why)
{
    unsigned hz = sampler.wish.hz != 0 ? sampler.wish.hz : SAMPLER_HZ;
    if (!clear()) /* what an earlier stop had to leave */
        return failure_set(why, FAILURE_BUSY, 0, "a thread is stopped while it is sampled");
    sampler.period = 1000000000u / hz;
    sampler.python = (uint32_t)python.layout->major << 8 | python.layout->minor;
    memset(sampler.times, 0, sizeof sampler.times);
    if (!set_up(why)) {
        free_memory();
        return false;
    }
    fork_watch_seen(FORK_WATCH_SAMPLER);
    debug_log(sampler, 1, "on, %u Hz, into %s", hz, sampler.directory);
    return true;
}

/* How long samples took: the median and the 99th percentile, as powers of two. */
static void log_times(void)
{
    uint64_t all = 0, sum = 0;
    int median = -1, most = -1;
    for (int i = 0; i < TIMES; i++)
        all += sampler.times[i];
    for (int i = 0; i < TIMES; i++) {
        sum += sampler.times[i];
        if (median < 0 && sum * 2 >= all)
            median = i;
        if (most < 0 && sum * 100 >= all * 99)
            most = i;
    }
    debug_log(sampler, 1,
              "%llu samples, half of them in less than %llu ns, 99 %% in less than %llu",
              (unsigned long long)all, 1ull << median, 1ull << most);
}

static void stop(void)
{
    stop_watching();
    clock_timer_stop();
    __atomic_store_n(&sampler_on, false, __ATOMIC_SEQ_CST);
    remove_handler();
    bool cleared = clear();
    log_times();
    debug_log(sampler, 1, "off%s",
              cleared ? "" : "; a thread is still being sampled: its memory stays");
}

/* A child that was made without fork handlers has neither timers nor a file: file and handler are
 * its parent's. It is not sampled. */
static void leave_parent(void)
{
    fork_watch_seen(FORK_WATCH_SAMPLER);
    lock_reset(&sampler.lock);
    gate_reset();
    sample_file_forget_kept();
    of_thread_here()->number = 0;
    if (!sampler_on)
        return;
    sampler_on = false;
    clock_timer_forget();
    watcher_forget();
    remove_handler();
    sample_file_forget();
    free_memory();
}

bool sampler_switch(bool on, struct failure *why)
{
    bool done = true;
    if (fork_watch_is_child(FORK_WATCH_SAMPLER))
        leave_parent();
    if (on == sampler_is_on())
        return true;
    lock_take(&sampler.lock);
    if (on && !sampler_on)
        done = start(why);
    else if (!on && sampler_on)
        stop();
    lock_release(&sampler.lock);
    return done;
}

void sampler_forked(void)
{
    int saved = errno;
    lock_reset(&sampler.lock);
    gate_reset();
    sample_file_forget_kept();
    of_thread_here()->number = 0;
    if (sampler_on) {
        sample_forget();
        sample_file_forget();
        sample_tree_forget_all();
        sampler.missed = 0;
        fork_watch_seen(FORK_WATCH_SAMPLER);
        watcher_forked();
        clock_timer_forked();
    }
    errno = saved;
}
