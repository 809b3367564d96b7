/* watched.h - a task for a watcher, and what is seen of it: counts in memory that forked processes
 * share. For tests that run in a child. */
#ifndef PYPERF_TEST_WATCHED_H
#define PYPERF_TEST_WATCHED_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "preload/sampler/watcher.h"
#include "support.h"
#include "trampoline/base/clock.h"

enum { MILLISECOND = 1000000 };
#define SECONDS 1000000000ull

static volatile struct watched {
    uint32_t begun, looks, left, gave_up, ended; /* looks that have begun, and that have ended */
    uint32_t watcher, program;                   /* process numbers */
    uint64_t first, last;                        /* looks, CLOCK_MONOTONIC */
    int refusal;                                 /* errno of `begin` */
} * watched;
static void (*in_begin)(void), (*in_look)(void), (*in_give_up)(void);

static inline bool watched_begin(uint32_t process)
{
    watched->watcher = (uint32_t)syscall(SYS_getpid);
    watched->program = process;
    watched->begun++;
    if (in_begin != NULL)
        in_begin();
    errno = watched->refusal;
    return errno == 0;
}

static inline void watched_look(void)
{
    watched->last = clock_now();
    if (watched->looks++ == 0)
        watched->first = watched->last;
    errno = 4711; /* its own, and not the program's */
    if (in_look != NULL)
        in_look();
    watched->left++;
}

static inline void watched_give_up(void)
{
    watched->gave_up++;
    if (in_give_up != NULL)
        in_give_up();
}

static inline void watched_end(void)
{
    watched->ended++;
}

static struct watcher_task watched_task = {
    .period = MILLISECOND,
    .begin = watched_begin,
    .look = watched_look,
    .give_up = watched_give_up,
    .end = watched_end,
};

static inline void watched_prepare(void)
{
    watched = (volatile struct watched *)mmap(NULL, sizeof *watched, PROT_READ | PROT_WRITE,
                                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    child_check(watched != MAP_FAILED, "%s", strerror(errno));
}

static inline void watched_start(void)
{
    struct failure why = {.what = ""};
    child_check(watcher_start(&watched_task, &why), "%s", strerror(why.sys_errno));
}

/* Waits for something that a busy machine may take its time for. */
#define AWAIT(condition)                                                                           \
    do {                                                                                           \
        uint64_t limit = clock_now() + 50 * SECONDS;                                               \
        while (!(condition)) {                                                                     \
            child_check(clock_now() < limit, "%s", "does not happen");                             \
            usleep(500);                                                                           \
        }                                                                                          \
    } while (0)

#define AWAIT_LOOKS(count)                                                                         \
    do {                                                                                           \
        uint32_t from = watched->looks;                                                            \
        AWAIT(watched->looks - from >= (count));                                                   \
    } while (0)

/* proc(5), /proc/PID/stat: R, S, T, Z and so on; 0: there is no such process. */
static inline char process_state(uint32_t process)
{
    char path[64], line[512] = "";
    snprintf(path, sizeof path, "/proc/%u/stat", process);
    FILE *stat = fopen(path, "re");
    if (stat == NULL)
        return 0;
    char *read = fgets(line, sizeof line, stat), *end = strrchr(line, ')');
    fclose(stat);
    return read == NULL || end == NULL ? 0 : end[2];
}

static inline bool has_ended(uint32_t process)
{
    char state = process_state(process);
    return state == 0 || state == 'Z' || state == 'X';
}

/* No process of any kind, also none that has ended. */
static inline bool is_childless(void)
{
    return waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD;
}

/* Pages of all mappings: proc(5), /proc/PID/statm. */
static inline unsigned long mapped_pages(void)
{
    unsigned long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    child_check(statm != NULL && fscanf(statm, "%lu", &pages) == 1, "%s", strerror(errno));
    fclose(statm);
    return pages;
}

#endif
