/* lock.h - a lock between threads that needs nothing of a libc: before glibc 2.34 the functions of
 * pthread that wait with a limit are in libpthread, which a program may not have.
 *
 * Not recursive. LOCK_INITIALIZER, or zeroed memory, is an unlocked lock. */
#ifndef PYPERF_LOCK_H
#define PYPERF_LOCK_H

#include <stdbool.h>
#include <stdint.h>

struct lock {
    uint32_t state;
};

#define LOCK_INITIALIZER                                                                           \
    {                                                                                              \
        0                                                                                          \
    }

/* Waits for the lock. Keeps errno. */
void lock_take(struct lock *lock);

/* Waits `patience` nanoseconds at most; whether the lock was taken. Keeps errno. */
bool lock_take_within(struct lock *lock, uint64_t patience);

/* By the thread that has taken it. Keeps errno. */
void lock_release(struct lock *lock);

/* Unlocks it in a forked child, where the thread that had it does not exist. */
void lock_reset(struct lock *lock);

#endif
