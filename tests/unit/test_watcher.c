/* test_watcher.c - a process in the same memory: it looks each period, the program does not notice
 * it, it can be stopped, and started again. */
#include "preload/sampler/watcher.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "support/watched.h"

TEST_IN_CHILD(a_look_each_period)
{
    watched_prepare();
    watched_task.period = 10 * MILLISECOND;
    uint64_t began = clock_now();
    watched_start();
    errno = 0;
    AWAIT(watched->left >= 20);
    watcher_stop();
    child_check(errno == 0, "%s", strerror(errno));
    uint32_t looks = watched->looks;
    child_check(watched->begun == 1 && watched->program == (uint32_t)getpid(), "%u",
                watched->program);
    child_check(watched->watcher != (uint32_t)getpid(), "%u", watched->watcher);
    child_check(watched->first - began >= watched_task.period, "%lu", watched->first - began);
    child_check(watched->last - began >= looks * watched_task.period, "%u looks in %lu ns", looks,
                watched->last - began);
    child_check(watched->left == looks && watched->gave_up == 0, "%u", watched->left);
    usleep(30000);
    child_check(watched->looks == looks, "%u", watched->looks);
}

/* One that takes longer than a period: those that it has missed are not made up for. */
static void take_long(void)
{
    struct timespec time = {0, 25 * MILLISECOND};
    syscall(SYS_nanosleep, &time, NULL);
}

TEST_IN_CHILD(long_looks)
{
    watched_prepare();
    watched_task.period = 10 * MILLISECOND;
    in_look = take_long;
    watched_start();
    AWAIT(watched->left >= 10);
    watcher_stop();
    child_check(watched->last - watched->first >= (watched->looks - 1) * 25ul * MILLISECOND, "%lu",
                watched->last - watched->first);
}

/* The program sees no thread, no child, no descriptor. */
TEST_IN_CHILD(not_seen)
{
    char path[64], name[32], place[64] = "";
    watched_prepare();
    int descriptors = count_descriptors();
    watched_start();
    AWAIT_LOOKS(2);
    child_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "%s", strerror(errno));
    child_check(waitpid(-1, NULL, 0) == -1 && errno == ECHILD, "%s", strerror(errno));
    child_check(count_descriptors() == descriptors, "%d", count_descriptors());
    snprintf(path, sizeof path, "/proc/self/task/%u", watched->watcher);
    child_check(access(path, F_OK) != 0, "%s", path);
    snprintf(path, sizeof path, "/proc/%u/comm", watched->watcher);
    FILE *comm = fopen(path, "re");
    child_check(comm != NULL && fgets(name, sizeof name, comm) != NULL, "%s", path);
    fclose(comm);
    child_check(strcmp(name, "pyperf-watcher\n") == 0, "%s", name);
    snprintf(path, sizeof path, "/proc/%u/cwd", watched->watcher);
    child_check(readlink(path, place, sizeof place - 1) > 0 && strcmp(place, "/") == 0, "%s",
                place);
    watcher_stop();
    child_check(is_childless(), "%s", "a child is left");
}

TEST_IN_CHILD(stopped_at_once)
{
    watched_prepare();
    watched_task.period = 3600 * SECONDS;
    for (int i = 0; i < 20; i++) {
        watched_start();
        watcher_stop();
        child_check(is_childless(), "%d: a child is left", i);
        child_check(process_state(watched->watcher) == 0, "%d", i);
    }
    child_check(watched->begun == 20 && watched->looks == 0, "%u looks", watched->looks);
    watcher_stop(); /* there is none */
}

TEST_IN_CHILD(nothing_is_left)
{
    watched_prepare();
    watched_start();
    watcher_stop();
    unsigned long pages = mapped_pages();
    for (int i = 0; i < 20; i++) {
        watched_start();
        AWAIT_LOOKS(1);
        watcher_stop();
    }
    child_check(mapped_pages() == pages, "%lu, not %lu", mapped_pages(), pages);
}

TEST_IN_CHILD(a_refusal)
{
    struct failure why = {.code = FAILURE_NONE};
    watched_prepare();
    unsigned long pages = mapped_pages();
    watched->refusal = EPERM;
    child_check(!watcher_start(&watched_task, &why), "%s", "started");
    child_check(why.code == FAILURE_WATCHER && why.sys_errno == EPERM, "%s",
                strerror(why.sys_errno));
    child_check(is_childless(), "%s", "a child is left");
    child_check(mapped_pages() == pages, "%lu, not %lu", mapped_pages(), pages);
    watcher_look(clock_now() + 10 * SECONDS);
    watcher_stop();
    child_check(watched->begun == 1 && watched->looks == 0, "%u", watched->begun);
    watched->refusal = 0;
    watched_start();
    AWAIT_LOOKS(1);
    watcher_stop();
}

TEST_IN_CHILD(no_memory)
{
    struct failure why = {.code = FAILURE_NONE};
    watched_prepare();
    struct rlimit none, all;
    getrlimit(RLIMIT_AS, &all);
    none = all;
    none.rlim_cur = mapped_pages() * 4096;
    child_check(setrlimit(RLIMIT_AS, &none) == 0, "%s", strerror(errno));
    child_skip_without_limit();
    child_check(!watcher_start(&watched_task, &why), "%s", "started");
    child_check(why.code == FAILURE_WATCHER && why.sys_errno == ENOMEM, "%s",
                strerror(why.sys_errno));
    child_check(setrlimit(RLIMIT_AS, &all) == 0, "%s", strerror(errno));
    watched_start();
    watcher_stop();
}

/* More descriptors than are listed at once. */
TEST_IN_CHILD(descriptors_of_the_program)
{
    enum { MANY = 300 };
    int ends[2], copies[MANY];
    watched_prepare();
    child_check(pipe2(ends, O_CLOEXEC) == 0, "%s", strerror(errno));
    for (int i = 0; i < MANY; i++)
        child_check((copies[i] = dup(ends[1])) >= 0, "%s", strerror(errno));
    int count = count_descriptors();
    watched_start();
    child_check(count_descriptors() == count, "%d, not %d", count_descriptors(), count);
    for (int i = 0; i < MANY; i++)
        close(copies[i]);
    close(ends[1]);
    struct pollfd reader = {ends[0], POLLIN, 0};
    child_check(poll(&reader, 1, 50000) == 1 && (reader.revents & POLLHUP) != 0, "%#x",
                reader.revents);
    watcher_stop();
}

static volatile sig_atomic_t handled;
static volatile pid_t handled_by;

static void handle(int number)
{
    (void)number;
    handled++;
    handled_by = (pid_t)syscall(SYS_getpid);
}

TEST_IN_CHILD(signals)
{
    watched_prepare();
    child_check(setpgid(0, 0) == 0, "%s", strerror(errno));
    const int numbers[] = {SIGTERM, SIGINT, SIGURG, SIGUSR1, SIGTSTP, SIGHUP, SIGALRM};
    for (size_t i = 0; i < LENGTH_OF(numbers); i++)
        signal(numbers[i], handle);
    watched_start();
    for (size_t i = 0; i < LENGTH_OF(numbers); i++) {
        child_check(kill(0, numbers[i]) == 0, "%s", strerror(errno));
        child_check(kill((pid_t)watched->watcher, numbers[i]) == 0, "%s", strerror(errno));
        AWAIT_LOOKS(2);
        child_check(handled == (int)i + 1 && handled_by == getpid(), "%d: %d, by %d", numbers[i],
                    handled, handled_by);
    }
    watcher_stop();
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    child_check(!sigismember(&mask, SIGUSR1), "%s", "the program's signals are blocked");
}

static void *start_in_thread(void *unused)
{
    watched_start();
    return unused;
}

/* A watcher is of the process. */
TEST_IN_CHILD(the_thread_ends)
{
    pthread_t thread;
    watched_prepare();
    child_check(pthread_create(&thread, NULL, start_in_thread, NULL) == 0, "%s", "a thread");
    pthread_join(thread, NULL);
    AWAIT_LOOKS(3);
    watcher_stop();
    child_check(is_childless(), "%s", "a child is left");
}

/* Somebody stops it, and nobody continues it. */
TEST_IN_CHILD(it_is_stopped)
{
    watched_prepare();
    watched_start();
    AWAIT_LOOKS(1);
    child_check(kill((pid_t)watched->watcher, SIGSTOP) == 0, "%s", strerror(errno));
    AWAIT(process_state(watched->watcher) == 'T');
    watcher_stop();
    child_check(is_childless(), "%s", "a child is left");
}

static void stop_yourself(void)
{
    syscall(SYS_kill, syscall(SYS_getpid), SIGSTOP);
}

TEST_IN_CHILD(it_is_stopped_while_it_starts)
{
    watched_prepare();
    in_begin = stop_yourself;
    watched_start();
    child_check(watched->looks == 0, "%u", watched->looks);
    watcher_stop();
    child_check(is_childless(), "%s", "a child is left");
}

TEST_IN_CHILD(it_is_stopped_in_a_look)
{
    watched_prepare();
    in_look = stop_yourself;
    watched_start();
    AWAIT(process_state(watched->watcher) == 'T');
    watcher_stop();
    child_check(is_childless(), "%s", "a child is left");
    child_check(watched->gave_up == 1 && watched->left == 0, "%u", watched->gave_up);
    in_look = NULL;
    watched_start();
    AWAIT_LOOKS(1);
    watcher_stop();
    child_check(watched->gave_up == 1, "%u", watched->gave_up);
}

/* Started again by a thread that is sampled, not more often than once a second. */
TEST_IN_CHILD(it_is_killed)
{
    watched_prepare();
    watched_start();
    AWAIT_LOOKS(1);
    for (uint32_t i = 1; i < 5; i++) {
        uint32_t before = watched->watcher;
        watcher_look(clock_now() + 2 * SECONDS); /* there is one */
        child_check(watched->begun == i, "%u", watched->begun);
        child_check(kill((pid_t)before, SIGKILL) == 0, "%s", strerror(errno));
        AWAIT(has_ended(before));
        uint64_t now = clock_now();
        for (uint64_t later = 2; watched->begun == i && later < 100; later++) {
            watcher_look(now + later * SECONDS);
            usleep(1000);
        }
        AWAIT(watched->begun == i + 1);
        child_check(watched->watcher != before, "%u", before);
        AWAIT_LOOKS(1);
    }
    watcher_stop();
    child_check(is_childless(), "%s", "a child is left");
}

/* The program waits for all children of whatever kind. */
TEST_IN_CHILD(the_program_has_waited_for_it)
{
    watched_prepare();
    watched_start();
    AWAIT_LOOKS(1);
    pid_t before = (pid_t)watched->watcher;
    kill(before, SIGKILL);
    child_check(waitpid(-1, NULL, __WALL) == before, "%s", strerror(errno));
    watcher_look(clock_now() + 2 * SECONDS);
    AWAIT(watched->begun == 2);
    kill((pid_t)watched->watcher, SIGKILL);
    child_check(waitpid(-1, NULL, __WALL) > 0, "%s", strerror(errno));
    watcher_stop();
    child_check(is_childless(), "%s", "a child is left");
}
