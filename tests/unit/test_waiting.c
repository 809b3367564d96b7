/* test_waiting.c - threads that wait, run, or do both: their time, to the last period. */
#include "preload/sampler/waiting.h"

#include <sys/resource.h>

#include "support/waited.h"

TEST_IN_CHILD(threads_that_wait)
{
    struct thread *all[] = {begin(0, sleep_here), begin(1, wait_here)};
    int descriptors = count_descriptors();
    begin_to_look();
    struct span first = look();
    look_often(30);
    struct span last = look();
    child_check(count_descriptors() == descriptors + 4, "%d", count_descriptors());
    finish();
    for (int i = 0; i < 2; i++) {
        check_weight(seen_of(all[i]->number)->waits, first, last, 0);
        check_stack(all[i]);
        child_check(seen_of(all[i]->number)->flags == SAMPLE_WAITS, "%#x",
                    seen_of(all[i]->number)->flags);
    }
    child_check(reader.header->flags == SAMPLE_WHOLE, "%#x", reader.header->flags);
}

/* The kernel counts how long it was ready to run. */
TEST_IN_CHILD(a_thread_that_runs)
{
    uint64_t ran, delayed[4];
    struct thread *thread = begin(0, spin_here);
    begin_to_look();
    read_times(thread, &ran, &delayed[0]);
    waiting_look();
    read_times(thread, &ran, &delayed[1]);
    look_often(100);
    read_times(thread, &ran, &delayed[2]);
    waiting_look();
    read_times(thread, &ran, &delayed[3]);
    finish();
    const struct seen *one = seen_of(thread->number);
    child_check(one->samples == 0, "%u", one->samples);
    child_check(one->cpu * PERIOD <= delayed[3] - delayed[0], "%lu of %lu ns", one->cpu * PERIOD,
                delayed[3] - delayed[0]);
    child_check((one->cpu + 1) * PERIOD >= delayed[2] - delayed[1], "%lu, not %lu ns",
                one->cpu * PERIOD, delayed[2] - delayed[1]);
}

/* Not inlined: a sanitizer's function with such variables needs its frame pointer. */
__attribute__((noinline)) static void run_and_sleep(void)
{
    uint64_t end = clock_now() + MILLISECOND;
    while (clock_now() < end)
        continue;
    pause_for(3 * MILLISECOND);
}

/* Runs, sleeps, and waits at last: so that nothing is left that belongs to the next stack. */
static void do_both(struct thread *thread)
{
    wait_at(thread, &thread->word);
    for (int i = 0; i < 40; i++)
        run_and_sleep();
    __atomic_store_n(&thread->word, 0, __ATOMIC_SEQ_CST);
    wait_at(thread, &thread->word);
    __asm__ volatile("");
}

TEST_IN_CHILD(a_thread_that_does_both)
{
    uint64_t ran[2], delayed[2];
    struct thread *thread = begin(0, do_both);
    begin_to_look();
    read_times(thread, &ran[0], &delayed[0]);
    struct span first = look();
    wake(&thread->word);
    do
        look_often(1);
    while (thread->word != 0 || state_of(thread) != 'S');
    look_often(10); /* so long that a sample is stored */
    struct span last = look();
    read_times(thread, &ran[1], &delayed[1]);
    finish();
    const struct seen *one = seen_of(thread->number);
    uint64_t other = ran[1] - ran[0] + delayed[1] - delayed[0];
    child_check(one->samples > 1, "%u", one->samples);
    check_weight(one->waits, first, last, other);
    check_stack(thread);
}

/* One sample a second is enough for one that stays where it is. */
TEST_IN_CHILD(a_thread_that_waits_for_long)
{
    struct thread *thread = begin(0, wait_here);
    begin_to_look();
    struct span first = look(), last;
    do {
        pause_for(PERIOD);
        last = look();
    } while (last.low < first.high + 2200ull * MILLISECOND);
    finish();
    const struct seen *one = seen_of(thread->number);
    child_check(one->samples <= 2 + 4 * (last.high - first.low) / SECONDS, "%u", one->samples);
    check_weight(one->waits, first, last, 0);
}

/* The time of a thread that has ended is stored; another one may have its place. */
TEST_IN_CHILD(threads_that_end)
{
    enum { COUNT = 40 };
    begin_to_look();
    int descriptors = count_descriptors();
    struct span first[COUNT], last[COUNT];
    for (int i = 0; i < COUNT; i++) {
        struct thread *thread = begin(i, wait_here);
        first[i] = look();
        look_often(3);
        last[i] = look();
        wake(&thread->word);
        pthread_join(thread->id, NULL);
        AWAIT(state_of(thread) == 0);
        waiting_look();
    }
    child_check(count_descriptors() <= descriptors + 1, "%d, not %d", count_descriptors(),
                descriptors);
    finish();
    for (int i = 0; i < COUNT; i++) {
        const struct seen *one = seen_of(threads[i].number);
        child_check((one->waits + 1) * PERIOD >= last[i].low - first[i].high, "%d: %lu ns", i,
                    one->waits * PERIOD);
        check_stack(&threads[i]);
    }
}

/* More than there are places for stacks, and more than are looked at. */
TEST_IN_CHILD(many_threads)
{
    enum { COUNT = 1100, MOST = 1024 };
    uint32_t found = 0;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < COUNT + 100)
        child_skip("descriptors", EMFILE);
    for (int i = 0; i < COUNT; i++)
        begin(i, wait_here);
    begin_to_look();
    waiting_look();
    look_often(5);
    finish();
    for (int i = 0; i < COUNT; i++) {
        if (seen_of(threads[i].number)->samples == 0)
            continue;
        check_stack(&threads[i]);
        found++;
    }
    child_check(found >= MOST - 1 && found <= MOST, "%u", found); /* one is ours */
}

TEST_IN_CHILD(processes_that_may_not_be_looked_at)
{
    int status;
    pid_t child = fork(), parent = getppid();
    if (child == 0)
        _exit(0);
    child_check(waitpid(child, &status, 0) == child, "%s", strerror(errno));
    int descriptors = count_descriptors();
    child_check(!waiting_begin((uint32_t)child, PERIOD) && (errno == ENOENT || errno == ENOSYS),
                "%s", strerror(errno));
    child_check(count_descriptors() == descriptors, "%d", count_descriptors());
    if (getuid() != 0 || setuid(65534) != 0)
        child_skip("setuid", EPERM);
    child_check(!waiting_begin((uint32_t)parent, PERIOD), "%s", "looks");
    child_check(errno == EACCES || errno == EPERM || errno == ENOSYS, "%s", strerror(errno));
    child_check(count_descriptors() == descriptors, "%d", count_descriptors());
}
