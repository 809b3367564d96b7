/* test_fork_watch.c - each watcher notices a child once, however it was made. */
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/fork_watch.h"

static bool is_child(void)
{
    return fork_watch_is_child(FORK_WATCH_OUTPUTS);
}

/* In a child: the number of the first wrong answer, 0 if all are right. */
static int wrong_answer(void)
{
    if (!is_child() || !fork_watch_is_child(FORK_WATCH_PROFILE))
        return 1;
    fork_watch_seen(FORK_WATCH_OUTPUTS);
    if (is_child() || !fork_watch_is_child(FORK_WATCH_PROFILE))
        return 2;
    fork_watch_seen(FORK_WATCH_PROFILE);
    return fork_watch_is_child(FORK_WATCH_PROFILE) ? 3 : 0;
}

static pid_t fork_by_the_library(void)
{
    return fork();
}

static pid_t fork_by_the_system_call(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

TEST(no_child_before_the_watch)
{
    ck_assert(!is_child());
    if (fork() == 0)
        _exit(is_child());
    int status;
    ck_assert(wait(&status) > 0 && status == 0);
}

TEST(each_watcher_is_told)
{
    pid_t (*const ways[])(void) = {fork_by_the_library, fork_by_the_system_call};
    fork_watch_seen(FORK_WATCH_OUTPUTS);
    fork_watch_seen(FORK_WATCH_PROFILE);
    for (size_t i = 0; i < LENGTH_OF(ways); i++) {
        int status;
        pid_t child = ways[i]();
        if (child == 0) {
            int wrong = wrong_answer();
            pid_t grandchild = ways[i]();
            if (grandchild == 0)
                _exit(wrong_answer());
            if (waitpid(grandchild, &status, 0) != grandchild || status != 0)
                _exit(99);
            _exit(wrong);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "way %zu: %#x", i, status);
        ck_assert(!is_child() && !fork_watch_is_child(FORK_WATCH_PROFILE));
    }
}
