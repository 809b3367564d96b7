#include "preload/sampler/waiting.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "arch_process.h"
#include "preload/cpython/python_threads.h"
#include "preload/sampler/directory.h"
#include "preload/sampler/proc_file.h"
#include "preload/sampler/sample.h"
#include "preload/sampler/sample_format.h"
#include "trampoline/base/clock.h"

enum {
    THREADS = 1024,    /* more are not looked at */
    SPARE = 16,        /* descriptors that stay free for what is opened and closed again */
    OFTEN = 250000000, /* nanoseconds, after which the time of one that still waits is stored */
};

/* Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat: nanoseconds on a CPU, and waiting
 * for one, and how often the thread was given one. */
struct counts {
    uint64_t ran, delayed, times;
};

struct waiting {
    uint32_t thread; /* 0: free */
    uint32_t round;  /* when it was seen last */
    int file;        /* descriptor of its schedstat; -1: there are too many */
    bool waits;      /* with this stack, since it was given a CPU for the last time */
    struct sample_stack stack;
    struct counts counts; /* at the last look */
    uint64_t looked;      /* when that was, CLOCK_MONOTONIC */
    /* Nanoseconds that are not stored yet: that it has waited, and been ready. The kernel counts
     * the second when it is over, so that the first may have to be corrected. */
    int64_t waited, ready;
    char *state; /* of the interpreter */
};

static struct {
    uint32_t process, round;
    uint32_t known, seen;         /* threads that have an entry; those of the present look */
    int most;                     /* the descriptors that may be kept are below it */
    uint64_t period, now, before; /* the present look, and the one before it */
    int64_t rest;                 /* of threads that have ended: less than a period */
    struct directory folder;
    struct waiting *looked_at;
    struct waiting threads[THREADS];
} waits;

/* "/proc/PROGRAM/task/THREAD" and a name, which begins with a slash. */
static void thread_path(char path[PROC_PATH], uint32_t thread, const char *name)
{
    strcpy(put_decimal(proc_path(path, waits.process, "/task/"), thread), name);
}

static uint64_t number_at(const char **text, unsigned base)
{
    uint64_t number = 0;
    for (;; (*text)++) {
        char c = **text;
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
        if (digit >= base)
            return number;
        number = number * base + digit;
    }
}

static struct counts parse_counts(const char *text)
{
    struct counts counts;
    counts.ran = number_at(&text, 10);
    text += *text == ' ';
    counts.delayed = number_at(&text, 10);
    text += *text == ' ';
    counts.times = number_at(&text, 10);
    return counts;
}

/* False: the thread has ended. */
static bool read_counts(const struct waiting *entry, struct counts *counts)
{
    char text[96], path[PROC_PATH];
    long size;
    if (entry->file >= 0) {
        size = syscall(SYS_pread64, entry->file, text, sizeof text - 1, 0);
        text[size > 0 ? size : 0] = '\0';
    } else {
        thread_path(path, entry->thread, "/schedstat");
        size = proc_read(path, text, sizeof text);
    }
    *counts = parse_counts(text);
    return size > 0;
}

/* fs/proc/base.c, proc_pid_syscall: "running", or "-1 SP PC" outside of a system call, or its
 * number, six arguments, SP and PC, in hexadecimal. */
struct place {
    uintptr_t pc, stack_pointer, futex;
};

static bool parse_place(const char *text, struct place *place)
{
    uintptr_t words[9] = {0};
    int count = 0;
    *place = (struct place){0};
    if (*text == 'r')
        return false;
    bool outside = *text == '-';
    if (outside)
        text += 2;
    else
        words[count++] = number_at(&text, 10);
    while (*text == ' ' && count < 9) {
        text += 3; /* " 0x" */
        words[count++] = number_at(&text, 16);
    }
    if (count < 2)
        return false;
    place->pc = words[count - 1];
    place->stack_pointer = words[count - 2];
    if (!outside && words[0] == SYS_futex)
        place->futex = words[1];
    return true;
}

/* False: the thread runs, or has ended. */
static bool read_place(uint32_t thread, struct place *place)
{
    char text[256], path[PROC_PATH];
    thread_path(path, thread, "/syscall");
    return proc_read(path, text, sizeof text) > 0 && parse_place(text, place);
}

/* The thread's entry, or a free one; NULL: there is none. */
static struct waiting *entry_of(uint32_t thread)
{
    struct waiting *free = NULL;
    for (uint32_t i = 0; i < THREADS; i++) {
        struct waiting *entry = &waits.threads[(thread + i) % THREADS];
        if (entry->thread == thread)
            return entry;
        if (entry->thread == 0 && free == NULL)
            free = entry;
        if (entry->round == 0)
            break; /* was never used */
    }
    return free;
}

/* The rest of a period stays for later. */
static void store_time(const struct waiting *entry, const struct sample_stack *stack, int64_t *time)
{
    int64_t weight = *time / (int64_t)waits.period;
    for (int64_t part; weight > 0; weight -= part) {
        part = weight < UINT16_MAX ? weight : UINT16_MAX;
        sample_store(stack, entry->thread, (uint32_t)part, waits.now);
        *time -= part * (int64_t)waits.period;
    }
}

static void store(struct waiting *entry)
{
    static const struct sample_stack none = {.flags = SAMPLE_WAITS | SAMPLE_WAITS_FOR_CPU};
    store_time(entry, &none, &entry->ready);
    if (entry->waits && sample_is_valid(&entry->stack))
        store_time(entry, &entry->stack, &entry->waited);
}

/* The rest of a period is added to that of other threads, so that short ones have their share. */
static void end(struct waiting *entry)
{
    if (entry->waits) {
        entry->waited += waits.rest;
        store(entry);
        waits.rest = entry->waited;
    } else {
        store(entry);
    }
    if (entry->file >= 0)
        syscall(SYS_close, entry->file);
    entry->thread = 0;
    entry->waits = false;
    waits.known--;
}

/* The stack of a thread. Whether it waits, and has not run since `counts` were read. */
static bool find_stack(struct waiting *entry, const struct counts *counts,
                       struct sample_stack *stack)
{
    struct place place;
    ucontext_t context;
    struct counts again;
    if (!read_place(entry->thread, &place))
        return false;
    entry->state = python_threads_find(entry->thread, entry->state);
    arch_waiting(&context, place.pc, place.stack_pointer);
    struct sample_point point = {&context, entry->state, entry->thread,
                                 true,     place.futex,  waits.now};
    return sample_find(&point, stack) && read_counts(entry, &again) && again.times == counts->times;
}

/* Adds what has passed since the last look, but for what the thread has run. */
static void add_time(struct waiting *entry, const struct counts *counts)
{
    uint64_t passed = waits.now - entry->looked, ready = counts->delayed - entry->counts.delayed;
    uint64_t ran = counts->ran - entry->counts.ran;
    entry->ready += (int64_t)ready;
    entry->waited += (int64_t)(passed - ready - ran);
    entry->looked = waits.now;
    entry->counts = *counts;
}

static bool is_same(const struct sample_stack *one, const struct sample_stack *other)
{
    return one->frame == other->frame && one->flags == other->flags && one->full == other->full &&
           one->epoch == other->epoch;
}

/* Time that a thread has waited between two looks, and runs at both, is that of the next stack with
 * which it is seen to wait. */
static void look_at(struct waiting *entry)
{
    struct counts counts;
    if (!read_counts(entry, &counts)) {
        end(entry);
        return;
    }
    bool still = entry->waits && entry->counts.times == counts.times;
    if (!still || !sample_is_valid(&entry->stack)) {
        struct sample_stack stack = {0};
        bool waits_now = find_stack(entry, &counts, &stack);
        if (!still && !(waits_now && is_same(&stack, &entry->stack)))
            store(entry);
        entry->waits = waits_now;
        entry->stack = stack;
    }
    add_time(entry, &counts);
    if (entry->waited >= OFTEN)
        store(entry);
}

/* A thread that was not there at the last look counts from then on, whenever it has begun: a short one
 * is as often not seen at all. */
static bool enter(struct waiting *entry, uint32_t thread)
{
    *entry = (struct waiting){.thread = thread, .file = -1, .looked = waits.now};
    struct counts counts;
    if (!read_counts(entry, &counts)) {
        entry->thread = 0;
        return false;
    }
    uint64_t passed = waits.before == 0 ? 0 : waits.now - waits.before;
    if (counts.ran + counts.delayed <= passed)
        entry->looked = waits.before;
    else
        entry->counts = counts;
    char path[PROC_PATH];
    thread_path(path, thread, "/schedstat");
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0 && fd < waits.most)
        entry->file = (int)fd;
    else if (fd >= 0)
        syscall(SYS_close, fd);
    waits.known++;
    return true;
}

static void look_at_thread(uint32_t thread)
{
    struct waiting *entry = entry_of(thread);
    if (entry == NULL)
        return;
    if (entry->thread != thread && !enter(entry, thread))
        return;
    entry->round = waits.round;
    waits.looked_at = entry;
    look_at(entry);
    waits.looked_at = NULL;
    waits.seen += entry->thread == thread;
}

/* Of the watcher itself: the kernel has these counts (CONFIG_SCHED_INFO). */
static bool has_counts(void)
{
    char text[96];
    if (proc_read("/proc/self/schedstat", text, sizeof text) > 0 && parse_counts(text).times > 0)
        return true;
    errno = ENOSYS;
    return false;
}

static bool may_look(uint32_t process)
{
    char text[8], path[PROC_PATH];
    thread_path(path, process, "/syscall");
    return proc_read(path, text, sizeof text) > 0;
}

bool waiting_begin(uint32_t process, uint64_t period)
{
    char path[PROC_PATH];
    struct rlimit limit;
    memset(&waits, 0, sizeof waits);
    waits.process = process;
    waits.period = period;
    waits.most = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT_MAX
                     ? (int)limit.rlim_cur - SPARE
                     : INT_MAX;
    proc_path(path, process, "/task");
    return has_counts() && may_look(process) && directory_open(&waits.folder, path);
}

void waiting_look(void)
{
    uint32_t thread;
    waits.round++;
    waits.before = waits.now;
    waits.now = clock_now();
    waits.seen = 0;
    directory_rewind(&waits.folder);
    while (directory_next(&waits.folder, &thread))
        look_at_thread(thread);
    if (waits.seen == waits.known || !directory_is_whole(&waits.folder))
        return;
    for (uint32_t i = 0; i < THREADS; i++)
        if (waits.threads[i].thread != 0 && waits.threads[i].round != waits.round)
            end(&waits.threads[i]);
}

void waiting_give_up(void)
{
    if (waits.looked_at != NULL)
        waits.looked_at->waits = false;
}

void waiting_end(void)
{
    for (uint32_t i = 0; i < THREADS; i++)
        if (waits.threads[i].thread != 0)
            store(&waits.threads[i]);
    memset(waits.threads, 0, sizeof waits.threads);
    waits.known = 0;
}

void waiting_finish(void)
{
    if (waits.process == (uint32_t)syscall(SYS_getpid)) /* not of a forked child's parent */
        waiting_end();
}
