/* lock.c - a lock of one futex word, as in Drepper, "Futexes Are Tricky", section 6 (mutex2). */
#include "trampoline/base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "trampoline/base/clock.h"

enum { FREE, TAKEN, AWAITED /* a thread may sleep in the kernel */ };

static bool take_free(struct lock *lock)
{
    uint32_t expected = FREE;
    return __atomic_compare_exchange_n(&lock->state, &expected, TAKEN, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* Sleeps while the lock is awaited; `left` nanoseconds at most, or NULL: without a limit. futex(2)
 * measures FUTEX_WAIT's time-out on the monotonic clock. */
static void sleep_for(struct lock *lock, const uint64_t *left)
{
    struct timespec limit = {0};
    if (left != NULL)
        limit = clock_timespec(*left);
    syscall(SYS_futex, &lock->state, FUTEX_WAIT_PRIVATE, AWAITED, left != NULL ? &limit : NULL,
            NULL, 0);
}

static bool take(struct lock *lock, const uint64_t *patience)
{
    if (take_free(lock))
        return true;
    int saved = errno;
    uint64_t end = patience != NULL ? clock_now() + *patience : 0;
    bool taken;
    while (!(taken = __atomic_exchange_n(&lock->state, AWAITED, __ATOMIC_ACQUIRE) == FREE)) {
        uint64_t time = patience != NULL ? clock_now() : 0, left = end - time;
        if (patience != NULL && time >= end)
            break;
        sleep_for(lock, patience != NULL ? &left : NULL);
    }
    errno = saved;
    return taken;
}

void lock_take(struct lock *lock)
{
    take(lock, NULL);
}

bool lock_take_within(struct lock *lock, uint64_t patience)
{
    return take(lock, &patience);
}

void lock_release(struct lock *lock)
{
    if (__atomic_exchange_n(&lock->state, FREE, __ATOMIC_RELEASE) != AWAITED)
        return;
    int saved = errno;
    syscall(SYS_futex, &lock->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
}

void lock_reset(struct lock *lock)
{
    __atomic_store_n(&lock->state, FREE, __ATOMIC_RELEASE);
}
