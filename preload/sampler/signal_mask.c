#include "preload/sampler/signal_mask.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "arch_thread.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/next_symbol.h"
#include "trampoline/elf_got.h"

typedef int mask_function(int how, const sigset_t *set, sigset_t *old);

static mask_function thread_mask, process_mask;

static struct watched {
    const char *name;
    mask_function *ours, *of_libc;
} watched[] = {{"pthread_sigmask", thread_mask, NULL}, {"sigprocmask", process_mask, NULL}};
enum { WATCHED = sizeof watched / sizeof *watched };

static int left_out; /* the signal */
static bool on;

/* This thread's mask lacks the signal, and the program has blocked it. */
ARCH_THREAD_VARIABLE(bool, hidden)

/* Nobody waits for these two together. */
static bool blocks_all(const sigset_t *set, int number)
{
    return sigismember(set, number) == 1 && sigismember(set, SIGPROF) == 1;
}

static int change(mask_function *function, int how, const sigset_t *set, sigset_t *old)
{
    int number = __atomic_load_n(&left_out, __ATOMIC_RELAXED);
    sigset_t changed;
    bool was = *hidden_here(), is = was;
    if (set != NULL) {
        changed = *set;
        if (how == SIG_UNBLOCK) {
            is = was && sigismember(set, number) == 0;
        } else {
            bool all = __atomic_load_n(&on, __ATOMIC_RELAXED) && blocks_all(set, number);
            is = all || (how == SIG_BLOCK && was);
            if (all)
                sigdelset(&changed, number);
        }
        set = &changed;
    }
    int result = function(how, set, old);
    if (result != 0)
        return result;
    if (old != NULL && was)
        sigaddset(old, number);
    *hidden_here() = is;
    return result;
}

static int thread_mask(int how, const sigset_t *set, sigset_t *old)
{
    return change(watched[0].of_libc, how, set, old);
}

static int process_mask(int how, const sigset_t *set, sigset_t *old)
{
    return change(watched[1].of_libc, how, set, old);
}

/* In the present thread, whose mask may be an inherited one. */
static void set_blocked(bool blocked)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, left_out);
    if (watched[0].of_libc(blocked ? SIG_BLOCK : SIG_UNBLOCK, &one, NULL) == 0)
        *hidden_here() = !blocked;
}

void signal_mask_watch(int signal_number)
{
    int count = 0;
    sigset_t mask;
    left_out = signal_number;
    for (int i = 0; i < WATCHED; i++) {
        if (watched[i].of_libc == NULL)
            watched[i].of_libc = (mask_function *)next_symbol(watched[i].name);
        if (watched[i].of_libc != NULL)
            count += elf_got_lead(watched[i].name, (uintptr_t)watched[i].ours);
    }
    __atomic_store_n(&on, true, __ATOMIC_RELAXED);
    if (watched[0].of_libc != NULL && watched[0].of_libc(SIG_BLOCK, NULL, &mask) == 0 &&
        blocks_all(&mask, signal_number))
        set_blocked(false);
    debug_log(sampler, 1, "%d pointers to change a signal mask lead to us%s", count,
              *hidden_here() ? "; this thread had blocked all" : "");
}

void signal_mask_leave(void)
{
    __atomic_store_n(&on, false, __ATOMIC_RELAXED);
    if (*hidden_here())
        set_blocked(true);
}
