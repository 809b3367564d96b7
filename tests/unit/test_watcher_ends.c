/* test_watcher_ends.c - a watcher ends by itself when its program has ended or become another one,
 * and is no child's. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "support/watched.h"

/* A program with a watcher; `go_on` is what it does then. Those that it leaves become ours. */
static pid_t begin_program(void (*go_on)(void))
{
    watched_prepare();
    child_check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, "%s", strerror(errno));
    pid_t program = fork();
    if (program == 0) {
        watched_start();
        AWAIT_LOOKS(1);
        go_on();
        _exit(0);
    }
    AWAIT(watched->left >= 1 || has_ended((uint32_t)program));
    child_check(watched->program == (uint32_t)program, "%u", watched->program);
    return program;
}

/* The program has ended, so the watcher does, and is our child. */
static void check_end(pid_t program)
{
    pid_t watcher = (pid_t)watched->watcher;
    child_check(waitpid(program, NULL, 0) == program, "%s", strerror(errno));
    child_check(waitpid(watcher, NULL, __WALL) == watcher, "%s", strerror(errno));
    child_check(watched->ended == 1, "%u", watched->ended);
    child_check(is_childless(), "%s", "a child is left");
}

static void end(void)
{
}

TEST_IN_CHILD(the_program_ends)
{
    check_end(begin_program(end));
}

static void wait_for_a_signal(void)
{
    for (;;)
        pause();
}

TEST_IN_CHILD(the_program_is_killed)
{
    pid_t program = begin_program(wait_for_a_signal);
    kill(program, SIGKILL);
    check_end(program);
}

TEST_IN_CHILD(the_program_crashes)
{
    pid_t program = begin_program(abort);
    check_end(program);
}

/* Nobody waits for the watcher of a program that has become another one until that ends. */
static void execute(void)
{
    execl("/bin/sleep", "sleep", "1000", (char *)NULL);
}

TEST_IN_CHILD(the_program_calls_exec)
{
    pid_t program = begin_program(execute);
    AWAIT(has_ended(watched->watcher));
    child_check(!has_ended((uint32_t)program), "%s", "the program has ended");
    child_check(watched->ended == 1, "%u", watched->ended);
    kill(program, SIGKILL);
    child_check(waitpid(program, NULL, 0) == program, "%s", strerror(errno));
    waitpid(-1, NULL, __WALL); /* which may be the kernel's by now */
    child_check(is_childless(), "%s", "a child is left");
}

static void execute_in_child(void)
{
    pid_t child = vfork();
    if (child == 0) {
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    child_check(waitpid(child, NULL, 0) == child, "%s", strerror(errno));
    AWAIT_LOOKS(10);
    wait_for_a_signal();
}

/* The exec of a child, also of one that shares the program's memory, ends nothing. */
TEST_IN_CHILD(a_child_calls_exec)
{
    pid_t program = begin_program(execute_in_child);
    AWAIT_LOOKS(20);
    child_check(watched->begun == 1 && !has_ended(watched->watcher), "%u", watched->begun);
    kill(program, SIGKILL);
    check_end(program);
}

static void change_ids(void)
{
    enum { NOBODY = 65534 };
    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        _exit(77);
    wait_for_a_signal();
}

TEST_IN_CHILD(the_program_has_other_ids)
{
    if (getuid() != 0)
        child_skip("setuid", EPERM);
    pid_t program = begin_program(change_ids);
    AWAIT(has_ended(watched->watcher));
    child_check(!has_ended((uint32_t)program), "%s", "the program has ended");
    child_check(watched->ended == 1, "%u", watched->ended);
    kill(program, SIGKILL);
    child_check(waitpid(program, NULL, 0) == program, "%s", strerror(errno));
    waitpid(-1, NULL, __WALL);
    child_check(is_childless(), "%s", "a child is left");
}

/* A forked child has a watcher of its own when it asks for one, and its parent keeps its own. */
static void have_a_watcher(void)
{
    uint32_t before = watched->watcher;
    watcher_forked();
    child_check(is_childless(), "%s", "a child of the child's");
    watcher_look(clock_now());
    AWAIT(watched->begun == 2 && watched->watcher != before);
    child_check(watched->program == (uint32_t)getpid(), "%u", watched->program);
    watcher_stop();
    child_check(is_childless(), "%s", "a child is left");
    watched_start();
    watcher_stop();
}

static void forget_the_watcher(void)
{
    watcher_forget();
    watcher_look(clock_now() + 10 * SECONDS);
    watcher_stop();
    child_check(is_childless(), "%s", "a child of the child's");
    child_check(watched->begun == 1, "%u", watched->begun);
}

static void fork_and(void (*body)(void))
{
    int status;
    watched_prepare();
    watched_start();
    AWAIT_LOOKS(1);
    uint32_t watcher = watched->watcher;
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    child_check(waitpid(child, &status, 0) == child, "%s", strerror(errno));
    child_check(!has_ended(watcher), "%s", "the parent's watcher has ended");
    if (status != 0) /* it has said why */
        _exit(1);
    AWAIT_LOOKS(5);
    watcher_stop();
    child_check(is_childless() && has_ended(watcher), "%s", "a child is left");
    child_check(watched->ended == 0, "%u", watched->ended);
}

TEST_IN_CHILD(a_forked_child)
{
    fork_and(have_a_watcher);
}

TEST_IN_CHILD(a_forked_child_without)
{
    fork_and(forget_the_watcher);
}

/* Forks at any moment, also while a watcher starts or stops. */
static volatile bool stop_forking;

static void fork_many(void)
{
    while (!stop_forking) {
        pid_t child = fork();
        if (child == 0) {
            watcher_forked();
            watcher_look(clock_now());
            watcher_stop();
            _exit(is_childless() ? 0 : 1);
        }
        int status;
        child_check(waitpid(child, &status, 0) == child && status == 0, "%#x", status);
    }
}

static void *run_fork_many(void *unused)
{
    fork_many();
    return unused;
}

TEST_IN_CHILD(forks_at_any_moment)
{
    pthread_t thread;
    watched_prepare();
    child_check(pthread_create(&thread, NULL, run_fork_many, NULL) == 0, "%s", "a thread");
    for (int i = 0; i < 50; i++) {
        watched_start();
        if (i % 2 == 0)
            usleep(2000);
        watcher_stop();
    }
    stop_forking = true;
    pthread_join(thread, NULL);
    child_check(is_childless(), "%s", "a child is left");
}
