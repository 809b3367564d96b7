/* test_lock.c - a lock between threads: it excludes, waits, gives up in time, and wakes. */
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/lock.h"

enum { THREADS = 4, ROUNDS = 50000, MILLISECOND = 1000000 };

static struct lock lock = LOCK_INITIALIZER;
static volatile unsigned long count;

static void *add(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        lock_take(&lock);
        count = count + 1; /* a sum is lost where two threads do this at the same time */
        lock_release(&lock);
    }
    return unused;
}

TEST(one_thread_at_a_time)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(count, THREADS * ROUNDS);
    ck_assert_uint_eq(lock.state, 0);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

TEST(gives_up_in_time)
{
    lock_take(&lock);
    double start = seconds();
    errno = EXFULL;
    ck_assert(!lock_take_within(&lock, 20 * MILLISECOND));
    ck_assert_int_eq(errno, EXFULL);
    ck_assert(seconds() - start >= 0.02);
    ck_assert(!lock_take_within(&lock, 0));
    lock_release(&lock);
    ck_assert(lock_take_within(&lock, 0));
    lock_release(&lock);
    ck_assert_int_eq(errno, EXFULL);
}

static void *release_later(void *unused)
{
    usleep(20000);
    lock_release(&lock);
    return unused;
}

TEST(wakes_a_waiting_thread)
{
    pthread_t thread;
    for (int limited = 0; limited < 2; limited++) {
        lock_take(&lock);
        ck_assert_int_eq(pthread_create(&thread, NULL, release_later, NULL), 0);
        if (limited)
            ck_assert(lock_take_within(&lock, 10000ul * MILLISECOND));
        else
            lock_take(&lock);
        pthread_join(thread, NULL);
        lock_release(&lock);
    }
}

TEST(is_free_after_a_reset)
{
    lock_take(&lock);
    lock_reset(&lock);
    ck_assert(lock_take_within(&lock, 0));
    lock_release(&lock);
}
