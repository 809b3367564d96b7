#include "preload/sampler/watcher.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch_process.h"
#include "preload/sampler/directory.h"
#include "preload/sampler/proc_file.h"
#include "preload/sampler/rights.h"
#include "trampoline/base/clock.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/lock.h"

enum {
    GUARD = 64 << 10, /* below the stack, without access; a page has no more */
    STACK = 64 << 10,
    BLOCK = ARCH_THREAD_BELOW + ARCH_THREAD_ABOVE,
    AUXILIARY = 512, /* bytes of /proc/PID/auxv, which has some 370 */
    SECOND = 1000000000,
    CHECK = 20000000,         /* nanoseconds between two looks whether the program is still there */
    CHECK_RIGHTS = 100000000, /* and still has the rights that it had */
    PATIENCE = 100000000,     /* of a program that is about to end */
    PART = 50,                /* it may use one part of so many of a CPU */
    FAULTS = 1000,            /* then it ends, and is started anew */
};

enum state { NONE, STARTING, RUNNING, ENDED }; /* in this order */

/* The program sets `stop` and `pid`, the watcher the rest. */
static struct watcher {
    struct lock lock; /* of the thread that starts or stops it */
    const struct watcher_task *task;
    bool on;
    int pid; /* 0: none was started, or it is waited for */
    uint32_t state, stop;
    int refusal;    /* errno */
    uint64_t asked; /* when it was started, or asked for, last */
    char *memory;   /* guard, stack, then what stands for a libc's record */
    /* Of the process that was told to start one: a child that has others gets none; and the present
     * ones. */
    struct rights rights, present;
    /* Of the watcher itself. */
    bool looking;
    uint32_t program, faults, starts;
    uint64_t next, checked;
    char auxiliary[AUXILIARY]; /* what the kernel has told the program when it was executed */
} watcher;

static _Noreturn void leave(void)
{
    __atomic_store_n(&watcher.state, ENDED, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &watcher.state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    for (;;)
        syscall(SYS_exit_group, 0);
}

static _Noreturn void refuse(void)
{
    watcher.refusal = errno;
    leave();
}

static void read_auxiliary(char bytes[AUXILIARY])
{
    char path[PROC_PATH];
    proc_path(path, watcher.program, "/auxv");
    memset(bytes, 0, AUXILIARY);
    proc_read(path, bytes, AUXILIARY);
}

/* By whoever has the watcher's memory: the watcher, or, after its end, the program. */
static bool has_same_rights(uint32_t process)
{
    rights_read(process, &watcher.present);
    return rights_are_same(&watcher.present, &watcher.rights);
}

/* A program that has called exec has other addresses. */
static bool is_the_same(uint64_t now)
{
    char bytes[AUXILIARY];
    if ((uint32_t)syscall(SYS_getppid) != watcher.program)
        return false;
    read_auxiliary(bytes);
    if (memcmp(bytes, watcher.auxiliary, sizeof bytes) != 0)
        return false;
    if (now - watcher.checked < CHECK_RIGHTS)
        return true;
    watcher.checked = now;
    return has_same_rights(watcher.program);
}

static void run(void);

/* A look that is left for good. */
static void give_up(void)
{
    bool was_looking = watcher.looking;
    watcher.looking = false;
    if (was_looking)
        watcher.task->give_up();
}

/* SIGSEGV and SIGBUS. */
static void fault(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    if (!watcher.looking)
        leave();
    give_up();
    if (++watcher.faults % FAULTS == 0)
        leave();
    arch_resume(context, watcher.memory + GUARD + STACK, run);
}

/* Of many threads it looks less often, once a second at least: how long each of them waits is
 * calculated all the same. */
static void look(uint64_t now)
{
    uint64_t late = now - watcher.next, period = watcher.task->period;
    uint64_t used = clock_read(CLOCK_THREAD_CPUTIME_ID);
    watcher.looking = true;
    watcher.task->look();
    watcher.looking = false;
    used = clock_read(CLOCK_THREAD_CPUTIME_ID) - used;
    uint64_t pause = used * PART < SECOND ? used * PART : SECOND;
    watcher.next = now + (pause > period ? pause : period - late % period);
}

static void run(void)
{
    for (;;) {
        uint64_t now = clock_now();
        if (__atomic_load_n(&watcher.stop, __ATOMIC_SEQ_CST))
            leave();
        if (!is_the_same(now)) {
            watcher.task->end();
            leave();
        }
        if (now >= watcher.next) {
            look(now);
            continue;
        }
        uint64_t most = watcher.next - now;
        struct timespec left = clock_timespec(most < CHECK ? most : CHECK);
        syscall(SYS_futex, &watcher.stop, FUTEX_WAIT_PRIVATE, 0, &left, NULL, 0);
    }
}

/* The program's descriptors, and its current directory, would be held open. */
static void close_all(void)
{
    struct directory folder;
    if (!directory_open(&folder, "/proc/self/fd"))
        refuse();
    for (bool again = true; again;) {
        uint32_t fd;
        again = false; /* the list is read anew, since closing changes it */
        while (directory_next(&folder, &fd))
            if ((long)fd != folder.fd && syscall(SYS_close, fd) == 0)
                again = true;
        directory_rewind(&folder);
    }
    directory_close(&folder);
    syscall(SYS_chdir, "/");
}

/* All signals are blocked (start); a fault that is blocked would end the watcher at once. */
static void handle_faults(void)
{
    uint64_t faults = 1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = fault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &faults, NULL, sizeof faults);
}

static void begin(void)
{
    handle_faults();
    syscall(SYS_prctl, PR_SET_NAME, "pyperf-watcher", 0, 0, 0);
    while (__atomic_load_n(&watcher.state, __ATOMIC_SEQ_CST) == NONE)
        syscall(SYS_futex, &watcher.state, FUTEX_WAIT_PRIVATE, NONE, NULL, NULL, 0);
    close_all();
    give_up(); /* the one before may have been killed */
    watcher.checked = clock_now();
    watcher.next = watcher.checked + watcher.task->period;
    read_auxiliary(watcher.auxiliary);
    if (!watcher.task->begin(watcher.program))
        refuse();
    __atomic_store_n(&watcher.state, RUNNING, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &watcher.state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    run();
}

/* Yama lets a process look at its parents only if they permit it: prctl(2). The value of an earlier
 * call of the program's is lost. */
static void permit(int pid)
{
    char scope[2];
    proc_read("/proc/sys/kernel/yama/ptrace_scope", scope, sizeof scope);
    if (scope[0] == '1')
        syscall(SYS_prctl, PR_SET_PTRACER, pid, 0, 0, 0);
}

/* pre: no watcher runs. */
static void free_memory(void)
{
    if (watcher.memory != NULL)
        syscall(SYS_munmap, watcher.memory, GUARD + STACK + BLOCK);
    watcher.memory = NULL;
}

/* False, with errno. */
static bool make_memory(void)
{
    void *memory = (void *)syscall(SYS_mmap, NULL, GUARD + STACK + BLOCK, PROT_NONE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    watcher.memory = memory;
    return syscall(SYS_mprotect, watcher.memory + GUARD, STACK + BLOCK, PROT_READ | PROT_WRITE) ==
           0;
}

/* 0, or errno. pre: the lock, unless it is off. */
static int start(void)
{
    uint64_t all = UINT64_MAX, before;
    if (!arch_thread_block_holds(&errno, sizeof errno))
        return ENOTSUP;
    if (watcher.memory == NULL && !make_memory())
        return errno;
    watcher.state = NONE;
    watcher.stop = 0;
    watcher.refusal = 0;
    watcher.program = (uint32_t)syscall(SYS_getpid);
    __atomic_store_n(&watcher.asked, clock_now(), __ATOMIC_RELAXED);
    watcher.starts++;
    char *block = watcher.memory + GUARD + STACK;
    memset(block, 0, BLOCK);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, sizeof all);
    long pid = arch_clone(CLONE_VM | CLONE_SETTLS, block, arch_thread_block(block), begin);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, sizeof before);
    if (pid < 0)
        return (int)-pid;
    watcher.pid = (int)pid;
    permit((int)pid);
    __atomic_store_n(&watcher.state, STARTING, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &watcher.state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return 0;
}

/* Waits for the end of a watcher that ends, or, with WNOHANG, may do so. */
static bool has_ended(int options)
{
    if (watcher.pid == 0)
        return true;
    long pid = syscall(SYS_wait4, watcher.pid, NULL, options | __WCLONE, NULL);
    if (pid == 0 || (pid < 0 && errno == EINTR))
        return false;
    watcher.pid = 0; /* the program may have waited for it (__WALL) */
    return true;
}

/* Whether the watcher is in that state or a later one; waits for it, for a second at most. */
static bool has_reached(enum state wanted)
{
    uint64_t now = clock_now(), end = now + SECOND;
    uint32_t state;
    while ((state = __atomic_load_n(&watcher.state, __ATOMIC_SEQ_CST)) < wanted && now < end) {
        struct timespec left = clock_timespec(end - now);
        syscall(SYS_futex, &watcher.state, FUTEX_WAIT_PRIVATE, state, &left, NULL, 0);
        now = clock_now();
    }
    return state >= wanted;
}

bool watcher_start(const struct watcher_task *task, struct failure *why)
{
    watcher.task = task;
    rights_read((uint32_t)syscall(SYS_getpid), &watcher.rights);
    int error = start();
    if (error == 0 && has_reached(RUNNING) &&
        __atomic_load_n(&watcher.state, __ATOMIC_SEQ_CST) == ENDED) {
        error = watcher.refusal;
        while (!has_ended(0))
            continue;
    }
    watcher.on = error == 0;
    if (watcher.on)
        return true;
    free_memory();
    return failure_set(why, FAILURE_WATCHER, error, "%s", "");
}

void watcher_look(uint64_t now)
{
    if (!watcher.on || now < __atomic_load_n(&watcher.asked, __ATOMIC_RELAXED) + SECOND ||
        !lock_take_within(&watcher.lock, 0))
        return;
    __atomic_store_n(&watcher.asked, now, __ATOMIC_RELAXED);
    if (watcher.on && has_ended(WNOHANG)) {
        if (has_same_rights((uint32_t)syscall(SYS_getpid)))
            start();
        else
            give_up();
    }
    lock_release(&watcher.lock);
}

/* Somebody may have stopped the watcher, or killed it. */
static void end(void)
{
    __atomic_store_n(&watcher.stop, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &watcher.stop, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    if (!has_reached(ENDED) && !has_ended(WNOHANG))
        syscall(SYS_kill, watcher.pid, SIGKILL);
    while (!has_ended(0))
        continue;
}

void watcher_stop(void)
{
    if (!watcher.on)
        return;
    watcher.on = false;
    bool mine = lock_take_within(&watcher.lock, SECOND); /* a thread may be stopped with it */
    if (!has_ended(WNOHANG))
        end();
    give_up();
    free_memory();
    if (mine)
        lock_release(&watcher.lock);
    debug_log(sampler, 1, "watcher: started %u times, %u faults", watcher.starts, watcher.faults);
}

void watcher_pause(void)
{
    if (!watcher.on || watcher.pid == 0 || watcher.program != (uint32_t)syscall(SYS_getpid) ||
        !lock_take_within(&watcher.lock, PATIENCE))
        return;
    if (!has_ended(WNOHANG))
        end();
    give_up();
    watcher.task->end();
    lock_release(&watcher.lock);
}

void watcher_forked(void)
{
    lock_reset(&watcher.lock);
    watcher.pid = 0;
    watcher.asked = 0;
    watcher.starts = watcher.faults = 0;
    watcher.looking = false;
}

void watcher_forget(void)
{
    lock_reset(&watcher.lock);
    watcher.on = false;
    watcher.pid = 0;
    watcher.looking = false;
    free_memory();
}
