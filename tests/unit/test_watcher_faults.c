/* test_watcher_faults.c - memory that is gone while a watcher looks: it gives the look up, and goes
 * on, or ends and is started again. */
#include <fcntl.h>
#include <signal.h>

#include "support/guarded.h"
#include "support/watched.h"

static const volatile char *gone; /* what looks read */
static volatile uint32_t faults;  /* looks that were meant to fail */

/* Some calls further inwards, and with locals of its own. */
__attribute__((noinline)) static int read_deep(int depth)
{
    volatile char bytes[256] = {0};
    bytes[depth] = depth == 0 ? *gone : (char)read_deep(depth - 1);
    return bytes[depth];
}

static void read_sometimes(void)
{
    if (watched->looks % 3 != 0)
        return;
    faults++;
    read_deep((int)(watched->looks % 7));
}

static void go_on_after_faults(const volatile char *address)
{
    gone = address;
    in_look = read_sometimes;
    watched_start();
    uint32_t watcher = watched->watcher, before = watched->gave_up;
    AWAIT(watched->gave_up - before >= 20);
    AWAIT_LOOKS(3);
    child_check(watched->begun == 1 && watched->watcher == watcher, "%u", watched->begun);
    watcher_stop();
    child_check(watched->gave_up == faults, "%u, not %u", watched->gave_up, faults);
    child_check(watched->left + faults == watched->looks, "%u of %u", watched->left,
                watched->looks);
    child_check(is_childless(), "%s", "a child is left");
    watched->begun = 0;
}

TEST_IN_CHILD(memory_that_is_gone)
{
    watched_prepare();
    go_on_after_faults(NULL);
    go_on_after_faults((const volatile char *)guarded_end());
    go_on_after_faults((const volatile char *)((uintptr_t)1 << 63)); /* of no process */
}

/* SIGBUS */
TEST_IN_CHILD(a_file_that_was_cut)
{
    watched_prepare();
    write_file(in_folder("file"), "", 0);
    int fd = open(in_folder("file"), O_RDWR | O_CLOEXEC);
    void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    child_check(memory != MAP_FAILED, "%s", strerror(errno));
    go_on_after_faults(memory);
}

/* The program's own handlers are another matter. */
static volatile sig_atomic_t handled;

static void handle(int number)
{
    (void)number;
    handled++;
}

TEST_IN_CHILD(handlers_of_the_program)
{
    struct sigaction action;
    watched_prepare();
    signal(SIGSEGV, handle);
    signal(SIGBUS, SIG_IGN);
    go_on_after_faults(NULL);
    child_check(handled == 0, "%d", handled);
    child_check(sigaction(SIGSEGV, NULL, &action) == 0 && action.sa_handler == handle, "%s",
                "SIGSEGV has another handler");
    child_check(sigaction(SIGBUS, NULL, &action) == 0 && action.sa_handler == SIG_IGN, "%s",
                "SIGBUS has another handler");
}

/* Asks for another watcher, later and later, until there is one. */
static void start_again(uint32_t begun)
{
    uint64_t now = clock_now();
    for (uint64_t later = 2; watched->begun == begun && later < 10000; later++) {
        watcher_look(now + later * SECONDS);
        usleep(1000);
    }
    AWAIT(watched->begun == begun + 1);
}

static void read_always(void)
{
    faults++;
    read_deep(3);
}

TEST_IN_CHILD(a_thousand_faults)
{
    watched_prepare();
    gone = NULL;
    in_look = read_always;
    watched_task.period = 1000;
    uint64_t began = clock_now();
    watched_start();
    uint32_t watcher = watched->watcher;
    AWAIT(has_ended(watcher));
    child_check(watched->looks == 1000 && watched->gave_up == 1000, "%u looks, %u given up",
                watched->looks, watched->gave_up);
    watcher_look(began + SECONDS / 2); /* too early */
    child_check(has_ended(watcher) && watched->begun == 1, "%u", watched->begun);
    in_look = NULL;
    start_again(1);
    AWAIT_LOOKS(3);
    child_check(watched->watcher != watcher, "%u", watcher);
    watcher_stop();
    child_check(watched->gave_up == 1000, "%u", watched->gave_up);
    child_check(is_childless(), "%s", "a child is left");
}

static void read_once(void)
{
    if (faults++ == 0)
        read_deep(3);
}

/* Nothing can go on if that fails, too. */
TEST_IN_CHILD(a_fault_while_it_gives_up)
{
    watched_prepare();
    gone = NULL;
    in_look = read_once;
    in_give_up = read_always;
    watched_start();
    uint32_t watcher = watched->watcher;
    AWAIT(has_ended(watcher));
    child_check(watched->gave_up == 1, "%u", watched->gave_up);
    start_again(1);
    AWAIT_LOOKS(3);
    watcher_stop();
    child_check(watched->gave_up == 1, "%u", watched->gave_up);
    child_check(is_childless(), "%s", "a child is left");
}

TEST_IN_CHILD(a_fault_while_it_begins)
{
    struct failure why = {.code = FAILURE_NONE};
    watched_prepare();
    gone = NULL;
    in_begin = read_always;
    if (!watcher_start(&watched_task, &why))
        child_check(why.code == FAILURE_WATCHER, "%d", why.code);
    AWAIT(has_ended(watched->watcher));
    child_check(watched->looks == 0 && watched->gave_up == 0, "%u", watched->looks);
    watcher_stop();
    child_check(is_childless(), "%s", "a child is left");
}

/* A recursion without end: its stack has a guard below, and its handler runs on that stack, so it
 * ends. */
static uint32_t overflow_once_done;
__attribute__((noinline)) static int recurse(volatile char *outer)
{
    volatile char bytes[512];
    bytes[0] = outer[0];
    return overflow_once_done == 0 ? recurse(bytes) + bytes[0] : 0;
}

static void overflow(void)
{
    volatile char first = 1;
    recurse(&first);
}

TEST_IN_CHILD(its_stack_is_full)
{
    watched_prepare();
    in_look = overflow;
    watched_start();
    uint32_t watcher = watched->watcher;
    AWAIT(has_ended(watcher));
    in_look = NULL;
    start_again(1);
    AWAIT_LOOKS(3);
    watcher_stop();
    child_check(watched->gave_up == 1, "%u", watched->gave_up); /* by the next one */
    child_check(is_childless(), "%s", "a child is left");
}

static void be_killed(void)
{
    if (faults++ == 0)
        syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
}

TEST_IN_CHILD(killed_in_a_look)
{
    watched_prepare();
    in_look = be_killed;
    watched_start();
    AWAIT(has_ended(watched->watcher));
    child_check(watched->gave_up == 0 && watched->looks == 1, "%u", watched->looks);
    start_again(1);
    AWAIT_LOOKS(3);
    child_check(watched->gave_up == 1, "%u", watched->gave_up);
    watcher_stop();
    faults = 0;
    watched_start();
    AWAIT(has_ended(watched->watcher));
    watcher_stop();
    child_check(watched->gave_up == 2, "%u", watched->gave_up);
    child_check(is_childless(), "%s", "a child is left");
}
