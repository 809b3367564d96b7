/* helper.c - what busy.py needs of C: counts a signal in threads that compute, and is an object that can
 * be loaded and unloaded under many names. For any CPython, by ctypes. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>

static long signals;

static void note(int number)
{
    (void)number;
    __atomic_add_fetch(&signals, 1, __ATOMIC_RELAXED);
}

/* The signal is blocked in this thread and those that it starts. */
void helper_start(int number);
void helper_start(int number)
{
    struct sigaction action;
    sigset_t set;
    memset(&action, 0, sizeof action);
    action.sa_handler = note;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* In a thread that makes no system call that fails with EINTR. */
void helper_take(int number);
void helper_take(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

long helper_signals(void);
long helper_signals(void)
{
    return __atomic_load_n(&signals, __ATOMIC_RELAXED);
}

/* Some relocations and memory for the loader. */
static const char *const names[] = {"one", "two", "three", "four", "five", "six", "seven", "eight"};
static char memory[1 << 16];

int helper_answer(int number);
int helper_answer(int number)
{
    memory[number & 0xffff] = 1;
    return (int)strlen(names[number & 7]) * number;
}
