/* clock.h - the time for distances in time. */
#ifndef PYPERF_CLOCK_H
#define PYPERF_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds, CLOCK_MONOTONIC. */
static inline uint64_t clock_now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

#endif
