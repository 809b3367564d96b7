/* waited.h - threads that wait, looks at them from a thread of the same process, as a watcher's are,
 * and what is in the sample file then. For tests that run in a child. */
#ifndef PYPERF_TEST_WAITED_H
#define PYPERF_TEST_WAITED_H

#include <linux/futex.h>
#include <pthread.h>

#include "preload/cpython/python_threads.h"
#include "preload/sampler/sample_file.h"
#include "preload/sampler/sample_tree.h"
#include "preload/sampler/waiting.h"
#include "sample_reader.h"
#include "tests/unit/interpreter/interpreter.h"
#include "trampoline/unwind/walk.h"
#include "watched.h"

enum { PERIOD = 2 * MILLISECOND, THREADS = 1200 };

/* Threads, and what they do until the process ends. */
static struct thread {
    void (*body)(struct thread *thread);
    pthread_t id;
    volatile uint32_t number;  /* 0: not yet */
    volatile uintptr_t inside; /* an address that is in its stack: sample_format.h */
    volatile uint32_t word;    /* a futex; not 0: it goes on */
} threads[THREADS];

static inline void *run(void *data)
{
    struct thread *thread = data;
    uint32_t number = (uint32_t)syscall(SYS_gettid);
    thread->number = number;
    thread->body(thread);
    return NULL;
}

/* The function that waits; the call to it is in the stack. */
__attribute__((noinline, unused)) static void wait_at(struct thread *thread,
                                                      volatile uint32_t *word)
{
    thread->inside = (uintptr_t)__builtin_return_address(0) - 1;
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0)
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static inline void wake(volatile uint32_t *word)
{
    __atomic_store_n(word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static inline void wait_here(struct thread *thread)
{
    wait_at(thread, &thread->word);
    __asm__ volatile(""); /* the call is not the last thing */
}

__attribute__((noinline, unused)) static void sleep_for_an_hour(struct thread *thread)
{
    thread->inside = (uintptr_t)__builtin_return_address(0) - 1;
    sleep(3600);
}

static inline void sleep_here(struct thread *thread)
{
    sleep_for_an_hour(thread);
    __asm__ volatile("");
}

static inline void spin_here(struct thread *thread)
{
    while (thread->word == 0)
        continue;
}

static inline char state_of(const struct thread *thread)
{
    return process_state(thread->number);
}

static inline struct thread *begin(int n, void (*body)(struct thread *thread))
{
    pthread_attr_t small;
    struct thread *thread = &threads[n];
    *thread = (struct thread){.body = body};
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 128 << 10);
    child_check(pthread_create(&thread->id, &small, run, thread) == 0, "%d", n);
    pthread_attr_destroy(&small);
    if (body == spin_here)
        AWAIT(thread->number != 0);
    else
        AWAIT(thread->inside != 0 && state_of(thread) == 'S');
    return thread;
}

/* schedstat: how long it has run, and waited for a CPU. */
static inline void read_times(const struct thread *thread, uint64_t *ran, uint64_t *delayed)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%u/schedstat", thread->number);
    FILE *file = fopen(path, "re");
    child_check(file != NULL && fscanf(file, "%lu %lu", ran, delayed) == 2, "%s", path);
    fclose(file);
}

/* The contents of the file. */
static struct seen {
    uint32_t thread, samples, frame; /* of the last one that waits for something else than a CPU */
    uint64_t waits, cpu;             /* weights */
    unsigned flags, last_flags;      /* of all of those, and of the last one */
} seen[THREADS];
static uint32_t seen_count;
static struct sample_reader reader;

static inline struct seen *seen_of(uint32_t thread)
{
    for (uint32_t i = 0; i < seen_count; i++)
        if (seen[i].thread == thread)
            return &seen[i];
    child_check(seen_count < THREADS, "%u", seen_count);
    seen[seen_count] = (struct seen){.thread = thread};
    return &seen[seen_count++];
}

static inline void visit(uint32_t id, const void *record, size_t size, void *data)
{
    const struct sample_sample *sample = record;
    (void)id, (void)size, (void)data;
    if ((sample->head & 255) != SAMPLE_SAMPLE)
        return;
    struct seen *one = seen_of(sample->thread);
    child_check((sample->flags & SAMPLE_WAITS) != 0, "%#x", sample->flags);
    child_check(sample->weight > 0, "%u", sample->weight);
    if ((sample->flags & SAMPLE_WAITS_FOR_CPU) != 0) {
        child_check(sample->frame == 0, "%u", sample->frame);
        one->cpu += sample->weight;
        return;
    }
    one->samples++;
    one->waits += sample->weight;
    one->flags |= one->last_flags = sample->flags;
    one->frame = sample->frame;
}

static inline const void *record_at(uint32_t id)
{
    return reader.bytes + (size_t)id * 8;
}

/* Whether a frame of the sample has this address. */
static inline bool is_in_stack(uint32_t frame, uintptr_t address)
{
    while (frame != 0) {
        const struct sample_native *record = record_at(frame);
        if ((record->head & 255) == SAMPLE_NATIVE && record->address == address)
            return true;
        frame = record->parent;
    }
    return false;
}

static char *first_interpreter; /* NULL: there is none */

static inline void *head(void)
{
    return first_interpreter;
}

/* Everything but the first look. */
static inline void start(void)
{
    struct failure why = {.what = ""};
    interpreter_start(3, 8);
    python.PyInterpreterState_Head = head;
    _PyThreadState_Current = NULL;
    python_threads_start();
    child_check(sample_file_start(folder, &why), "%s", why.what);
    child_check(sample_file_open(3 << 8 | 8, PERIOD), "%s", strerror(errno));
    child_check(unwind_start() && sample_tree_start(), "%s", strerror(errno));
}

static inline void begin_to_look(void)
{
    start();
    if (!waiting_begin((uint32_t)getpid(), PERIOD))
        child_skip("schedstat", errno);
}

static inline void finish(void)
{
    waiting_finish();
    waiting_finish(); /* nothing to do */
    sample_file_finish();
    sample_open(&reader, sample_path(0));
    sample_read(&reader, visit, NULL);
    child_check(reader.header->lost == 0, "%lu", reader.header->lost);
}

/* Between two looks are two times: those before and after each. */
struct span {
    uint64_t low, high;
};

static inline struct span look(void)
{
    struct span span = {.low = clock_now()};
    waiting_look();
    span.high = clock_now();
    return span;
}

static inline void pause_for(uint64_t nanoseconds)
{
    struct timespec time = clock_timespec(nanoseconds);
    nanosleep(&time, NULL);
}

static inline void look_often(int times)
{
    for (int i = 0; i < times; i++) {
        pause_for(PERIOD / 2);
        waiting_look();
    }
}

/* The weight of a time between these two looks, less what is known not to belong to it. */
static inline void check_weight(uint64_t weight, struct span first, struct span last,
                                uint64_t other)
{
    uint64_t most = last.high - first.low - other, least = last.low - first.high - other;
    child_check(weight * PERIOD <= most, "%lu ns of %lu", weight * PERIOD, most);
    child_check((weight + 1) * PERIOD >= least, "%lu ns, not %lu", weight * PERIOD, least);
}

static inline void check_stack(const struct thread *thread)
{
    const struct seen *one = seen_of(thread->number);
    child_check(one->samples > 0 && (one->last_flags & SAMPLE_CUT) == 0, "%#x", one->last_flags);
    child_check(is_in_stack(one->frame, thread->inside), "%#lx is not in the stack",
                thread->inside);
}

#endif
