/* test_rotation.c - a file after the other, while threads store into them. */
#include "preload/sampler/rotation.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#include "preload/sampler/gate.h"
#include "preload/sampler/sample_file.h"
#include "preload/sampler/sample_tree.h"
#include "support/sample_reader.h"
#include "trampoline/base/clock.h"

enum { PYTHON = 3 << 8 | 11, PERIOD = 1000000, THREADS = 4, MILLISECOND = 1000000, DEPTH = 8 };

static void start(uint64_t span, uint32_t keep)
{
    struct failure why = {.what = ""};
    child_check(sample_file_start(folder, &why), "%s", why.what);
    child_check(sample_tree_start(), "%s", strerror(errno));
    rotation_set(span);
    sample_file_keep(keep);
}

/* A sample of a stack that is chosen by its number; false: it could not be stored. */
static bool add(uint32_t thread, uint32_t number, uint32_t weight, uint64_t now)
{
    uint32_t id, frame = 0;
    bool stored = false;
    if (!gate_enter())
        return false;
    if (rotation_open(PYTHON, PERIOD, now)) {
        for (uint32_t depth = 0; depth < DEPTH; depth++)
            frame = sample_tree_native(frame, number % (depth + 2));
        struct sample_sample *record = sample_file_room(sizeof *record, &id);
        child_check(frame != 0 && record != NULL, "%u", frame);
        record->frame = frame;
        record->thread = thread;
        record->weight = (uint16_t)weight;
        record->time = now;
        sample_file_done(record, SAMPLE_SAMPLE, sizeof *record);
        stored = true;
    }
    gate_leave();
    return stored;
}

/* Each of the files has all frames of its samples. */
struct found {
    const struct sample_reader *reader;
    uint64_t weight, samples, last;
};

static void find(uint32_t id, const void *bytes, size_t size, void *data)
{
    struct found *found = data;
    const struct sample_sample *sample = bytes;
    (void)id, (void)size;
    if ((sample->head & 255) != SAMPLE_SAMPLE)
        return;
    found->samples++;
    found->weight += sample->weight;
    found->last = sample->time;
    uint32_t depth = 0;
    for (uint32_t frame = sample->frame; frame != 0; depth++) {
        const struct sample_native *native =
            (const struct sample_native *)(found->reader->bytes + (size_t)frame * 8);
        child_check((size_t)frame * 8 < found->reader->length, "%u", frame);
        child_check(native->head == SAMPLE_HEAD(SAMPLE_NATIVE, sizeof *native), "%#x",
                    native->head);
        child_check(native->parent < frame, "%u", frame);
        frame = native->parent;
    }
    child_check(depth == DEPTH, "%u", depth);
}

static struct found find_all(uint64_t span)
{
    struct found found = {0};
    for (int i = 0; i < count_entries(); i++) {
        struct sample_reader reader;
        uint64_t before = found.samples;
        sample_open(&reader, sample_path(i));
        found.reader = &reader;
        sample_read(&reader, find, &found);
        const struct sample_header *header = reader.header;
        child_check(header->flags == SAMPLE_WHOLE && header->lost == 0, "%u", header->flags);
        child_check(header->ended >= header->began, "%lu", header->ended);
        child_check(found.samples > before, "%s", "an empty file");
        child_check(found.last < header->began + 2 * span, "%lu", found.last);
        child_check(reader.count[SAMPLE_UNFINISHED] == 0 && reader.skipped == 0, "%lu",
                    reader.skipped);
        sample_close(&reader);
    }
    return found;
}

TEST_IN_CHILD(a_file_after_the_other)
{
    int descriptors = count_descriptors();
    const uint64_t span = 60000000000, began = clock_now();
    start(span, 3);
    for (uint32_t i = 0; i < 10; i++) {
        /* Each begins when it is made, not at the time of its sample. */
        uint64_t now = clock_now() + (i % 2 == 0 ? 0 : span + 1000 * MILLISECOND);
        child_check(add(1, i, 1, now), "%u", i);
        int files = (int)(i + 1) / 2 + 1;
        child_check(count_entries() == (files < 3 ? files : 3), "%u: %d", i, count_entries());
    }
    child_check(clock_now() - began < span, "%s", "too slow for this test");
    sample_file_finish();
    child_check(count_descriptors() == descriptors, "%d", count_descriptors());
    child_check(find_all(3 * span).samples == 5, "%s", "samples are missing");
}

TEST_IN_CHILD(one_file)
{
    start(0, 0);
    for (uint32_t i = 0; i < 100; i++)
        child_check(add(1, i, 1, clock_now() + (uint64_t)i * 60000000000), "%u", i);
    sample_file_finish();
    child_check(count_entries() == 1, "%d", count_entries());
}

/* Another thread is inside for long: the file goes on, and the next one begins when it has left. */
TEST_IN_CHILD(not_alone)
{
    start(1000, 5);
    child_check(gate_enter(), "%s", "closed");
    for (uint32_t i = 0; i < 100; i++)
        child_check(add(1, i, 1, UINT64_MAX / 2), "%u", i);
    child_check(count_entries() == 1, "%d", count_entries());
    gate_leave();
    child_check(add(1, 1, 1, UINT64_MAX / 2), "%s", "no file");
    child_check(count_entries() == 2, "%d", count_entries());
    child_check(gate_is_idle(), "%s", "closed");
}

/* While there is no room for the next file there is none, and then there is. */
TEST_IN_CHILD(a_full_disk)
{
    start(1000, 5);
    child_check(add(1, 1, 1, clock_now()), "%s", "no file");
    limit_file_size(SAMPLE_SEGMENT - 1);
    for (uint32_t i = 0; i < 5; i++) {
        child_check(!add(1, 1, 1, UINT64_MAX / 2), "%s", "there is a file");
        child_check(gate_is_idle(), "%s", "closed");
        child_check(find_all(UINT64_MAX / 4).samples == 1, "%s", "the first one is not whole");
    }
    limit_file_size(SAMPLE_SEGMENT);
    child_check(add(1, 1, 1, clock_now()), "%s", "no file");
    sample_file_finish();
    child_check(find_all(UINT64_MAX / 4).samples == 2, "%d", count_entries());
}

/* Threads */

static uint32_t missed;
static uint64_t given;
static volatile bool stop;
enum { SPAN = 3 * MILLISECOND };

/* Between two samples a program runs for a while. */
static void *add_until_stopped(void *thread)
{
    const struct timespec wait = {0, 100000};
    for (uint32_t i = 0; !stop; i++) {
        uint32_t weight = 1 + __atomic_exchange_n(&missed, 0, __ATOMIC_SEQ_CST);
        __atomic_fetch_add(&given, 1, __ATOMIC_SEQ_CST);
        if (!add((uint32_t)(uintptr_t)thread, i * 7, weight, clock_now()))
            __atomic_fetch_add(&missed, weight, __ATOMIC_SEQ_CST);
        nanosleep(&wait, NULL);
    }
    return NULL;
}

static void run_threads(int milliseconds, void (*meanwhile)(void))
{
    pthread_t all[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        child_check(pthread_create(&all[i], NULL, add_until_stopped, (void *)i) == 0, "%lu", i);
    struct timespec wait = {0, MILLISECOND};
    for (int i = 0; i < milliseconds; i++) {
        nanosleep(&wait, NULL);
        if (meanwhile != NULL)
            meanwhile();
    }
    stop = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(all[i], NULL);
}

/* Every sample is in one of the files, or its weight in what was missed. */
TEST_IN_CHILD(threads)
{
    start(SPAN, SAMPLE_FILES_KEPT);
    run_threads(300, NULL);
    child_check(gate_is_idle(), "%s", "not idle");
    sample_file_finish();
    child_check(count_entries() >= 10, "%d", count_entries());
    struct found found = find_all(UINT64_MAX / 4);
    child_check(found.weight + missed == given, "%lu + %u of %lu", found.weight, missed, given);
}

/* A child that is forked at any moment, also during a rotation, has files of its own alone. */
static void fork_one(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        gate_reset();
        sample_file_forget_kept();
        sample_file_forget();
        sample_tree_forget_all();
        for (uint32_t i = 0; i < 4; i++)
            child_check(add(9, i, 1, UINT64_MAX / 2), "%u", i);
        sample_file_finish();
        _exit(0);
    }
    child_check(waitpid(child, &status, 0) == child && status == 0, "%#x", status);
}

TEST_IN_CHILD(forks)
{
    start(SPAN, 2);
    run_threads(under_valgrind() ? 5 : 40, fork_one);
    sample_file_finish();
    find_all(UINT64_MAX / 4);
    int own = 0;
    char name[64];
    snprintf(name, sizeof name, "/pyperf-%d-", getpid());
    for (int i = 0; i < count_entries(); i++)
        own += strstr(sample_path(i), name) != NULL;
    child_check(own == 2, "%d", own);
    child_check(count_entries() == 2 + 2 * (under_valgrind() ? 5 : 40), "%d", count_entries());
}
