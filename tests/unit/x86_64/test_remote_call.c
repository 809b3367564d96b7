/* test_remote_call.c - system calls in another process leave its threads as they were, also when they
 * are killed in the middle. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "preload/attach/remote_call.h"
#include "support/support.h"
#include "trampoline/base/clock.h"

long registers_change(void);

/* Shared with children. */
static struct shared {
    int stop, ready;
    long changed, rounds, calls, signals, failed;
    uint32_t word; /* a futex */
} * shared;

static struct target target;
static struct gadgets gadgets;
static struct remote remote;

static void share(void)
{
    sigset_t child;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
}

static pid_t start(void (*body)(void))
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        body();
        _exit(0);
    }
    ck_assert_int_gt(child, 0);
    while (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE))
        usleep(1000);
    return child;
}

static void ready(void)
{
    __atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
}

static void open_target(pid_t pid)
{
    struct refusal why = {""};
    target = (struct target){.pid = pid};
    ck_assert(maps_read(pid, &target.maps));
    ck_assert_msg(remote_gadgets(&target, &gadgets, &why), "%s", why.line);
}

static bool borrow(enum remote_choice choice)
{
    struct refusal why = {""};
    for (int i = 0; i < 200; i++) {
        if (remote_borrow(&remote, &target, &gadgets, choice, &why))
            return true;
        usleep(1000);
    }
    return false;
}

/* One mmap and munmap in the process; how many succeeded. */
static int call_both(void)
{
    const uint64_t arguments[6] = {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1};
    int64_t result, other;
    if (!remote_call(&remote, SYS_mmap, arguments, &result))
        return 0;
    const uint64_t there[6] = {(uint64_t)result, 4096};
    return result > 0 && remote_call(&remote, SYS_munmap, there, &other) && other == 0 ? 2 : 1;
}

static void assert_ends_well(pid_t child)
{
    int status;
    __atomic_store_n(&shared->stop, 1, __ATOMIC_RELEASE);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(status == 0, "status %#x, register %ld changed", status, shared->changed);
}

/* registers */

static void spin(void)
{
    ready();
    while (!__atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE)) {
        shared->changed = registers_change();
        if (shared->changed != 0)
            _exit(1);
        shared->rounds++;
    }
}

TEST(registers_stay)
{
    enum { TIMES = 300 };
    share();
    pid_t child = start(spin);
    open_target(child);
    for (int i = 0; i < TIMES; i++) {
        ck_assert(borrow(REMOTE_UNSEEN));
        ck_assert_int_eq(call_both(), 2);
        remote_return(&remote);
    }
    long rounds = shared->rounds;
    usleep(50000);
    ck_assert_int_gt(shared->rounds, rounds);
    assert_ends_well(child);
    maps_free(&target.maps);
}

/* A debugger that is killed at any moment, and another one in its place. */
static void attach_for_ever(pid_t child)
{
    open_target(child);
    for (;;) {
        struct refusal why = {""};
        if (!remote_borrow(&remote, &target, &gadgets, REMOTE_ANY, &why))
            continue;
        call_both();
        remote_return(&remote);
        __atomic_add_fetch(&shared->calls, 1, __ATOMIC_RELAXED);
    }
}

static void kill_debuggers(pid_t child, int times)
{
    for (int i = 0; i < times; i++) {
        int status;
        pid_t debugger = fork();
        if (debugger == 0)
            attach_for_ever(child);
        long calls = __atomic_load_n(&shared->calls, __ATOMIC_RELAXED);
        for (int j = 0; j < 5000 && __atomic_load_n(&shared->calls, __ATOMIC_RELAXED) == calls; j++)
            usleep(200);
        usleep((useconds_t)(rand() % 500));
        kill(debugger, SIGKILL);
        ck_assert_int_eq(waitpid(debugger, &status, 0), debugger);
        ck_assert_msg(waitpid(child, &status, WNOHANG) == 0, "kill %d: status %#x, register %ld", i,
                      status, shared->changed);
    }
}

TEST(a_killed_debugger_changes_no_register)
{
    enum { TIMES = 400 };
    share();
    pid_t child = start(spin);
    kill_debuggers(child, TIMES);
    assert_ends_well(child);
    ck_assert_int_gt(shared->calls, TIMES);
}

/* system calls */

static int pipe_ends[2];

static void note_unless(bool good)
{
    if (!good)
        shared->failed++;
}

static void sleep_long(void)
{
    const struct timespec time = {0, 300000000};
    ready();
    for (int i = 0; i < 3; i++) {
        uint64_t start_time = clock_now();
        note_unless(nanosleep(&time, NULL) == 0);
        uint64_t took = clock_now() - start_time;
        note_unless(took >= 300000000);
    }
}

static void wait_on_futex(void)
{
    const struct timespec time = {0, 400000000};
    ready();
    for (int i = 0; i < 3; i++)
        note_unless(syscall(SYS_futex, &shared->word, 0 /* FUTEX_WAIT */, 0, &time, NULL, 0) ==
                        -1 &&
                    errno == ETIMEDOUT);
}

static void read_pipe(void)
{
    char byte;
    ready();
    note_unless(read(pipe_ends[0], &byte, 1) == 1 && byte == 'x');
}

static void (*const sleepers[])(void) = {sleep_long, wait_on_futex, read_pipe};

TEST_FOR_EACH(an_interrupted_call_goes_on, LENGTH_OF(sleepers))
{
    enum { TIMES = 100 };
    int status;
    share();
    ck_assert_int_eq(pipe(pipe_ends), 0);
    pid_t child = start(sleepers[_i]);
    open_target(child);
    for (int i = 0; i < TIMES && waitpid(child, &status, WNOHANG) == 0; i++) {
        struct refusal why;
        if (!remote_borrow(&remote, &target, &gadgets, REMOTE_UNSEEN, &why))
            continue;
        ck_assert_int_eq(call_both(), 2);
        remote_return(&remote);
        usleep(2000);
    }
    ck_assert_int_eq(write(pipe_ends[1], "x", 1), 1);
    waitpid(child, &status, 0);
    ck_assert_int_eq(shared->failed, 0);
    maps_free(&target.maps);
}

/* signals */

static void count(int number)
{
    (void)number;
    shared->signals++;
}

static void count_signals(void)
{
    struct sigaction action = {.sa_handler = count};
    sigaction(SIGRTMIN, &action, NULL);
    spin();
}

/* Many come while the thread is stopped, and in the middle of a call. */
TEST(no_signal_gets_lost)
{
    enum { TIMES = 100, EACH = 10 };
    int sent = 0;
    share();
    pid_t child = start(count_signals);
    open_target(child);
    for (int i = 0; i < TIMES; i++) {
        if (!borrow(REMOTE_UNSEEN))
            continue;
        for (int j = 0; j < EACH; j++)
            sent += sigqueue(child, SIGRTMIN, (union sigval){.sival_int = j}) == 0;
        call_both();
        remote_return(&remote);
    }
    for (int i = 0; i < 1000 && shared->signals < sent; i++)
        usleep(1000);
    ck_assert_int_eq(shared->signals, sent);
    assert_ends_well(child);
    maps_free(&target.maps);
}

static void block_and_spin(void)
{
    sigset_t set, now;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_SETMASK, &set, NULL);
    raise(SIGUSR2);
    spin();
    sigprocmask(SIG_SETMASK, NULL, &now);
    note_unless(memcmp(&set, &now, 8) == 0);
    sigpending(&now);
    note_unless(sigismember(&now, SIGUSR2) == 1);
}

TEST(mask_and_pending_signals_stay)
{
    share();
    pid_t child = start(block_and_spin);
    open_target(child);
    for (int i = 0; i < 20; i++) {
        ck_assert(borrow(REMOTE_UNSEEN));
        ck_assert_int_eq(call_both(), 2);
        remote_return(&remote);
    }
    maps_free(&target.maps);
    kill_debuggers(child, 20);
    assert_ends_well(child);
    ck_assert_int_eq(shared->failed, 0);
}

/* A process that is stopped as a whole stays stopped, and goes on when it is told. */
TEST(a_stopped_process_stays_stopped)
{
    int status;
    struct refusal why = {""};
    share();
    pid_t child = start(spin);
    open_target(child);
    kill(child, SIGSTOP);
    ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
    ck_assert(!remote_borrow(&remote, &target, &gadgets, REMOTE_ANY, &why));
    long rounds = shared->rounds;
    usleep(20000);
    ck_assert_int_eq(shared->rounds, rounds);
    kill(child, SIGCONT);
    usleep(50000);
    ck_assert_int_gt(shared->rounds, rounds);
    assert_ends_well(child);
    maps_free(&target.maps);
}
