/* threads.h - threads of another process that are stopped for a moment, by PTRACE_SEIZE.
 *
 * Stopped are those that run. A thread that sleeps in a system call is left alone: some calls
 * (epoll_wait, sigtimedwait, semop, recv with a time limit) would fail with EINTR after a stop, as
 * signal(7) says. A signal that comes while a thread is stopped is the kernel's to deliver; one that
 * stopped it on its way is delivered when it goes on. A debugger that is killed leaves no thread
 * stopped: the kernel lets them go. */
#ifndef PYPERF_ATTACH_THREADS_H
#define PYPERF_ATTACH_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach_thread.h"

enum traced_state {
    TRACED_GONE,    /* it has ended, or was let go */
    TRACED_RUNS,    /* seized, and asked to stop */
    TRACED_STOPPED, /* its registers may be changed, and a system call is repeated afterwards */
    TRACED_CALL,    /* at the beginning or the end of a system call */
    TRACED_SIGNAL,  /* `signal` is about to be delivered */
    TRACED_GROUP,   /* stopped with its whole process, by SIGSTOP for example */
};

struct traced {
    pid_t thread;
    enum traced_state state;
    int signal; /* 0, or what it gets when it goes on */
};

/* Seizes a thread and waits until it has stopped, until `deadline` (clock_now) at most. False with
 * errno: ESRCH it is gone, EPERM, ETIMEDOUT. One that stops later is let go by the next
 * traced_attend_late. */
bool traced_stop(struct traced *traced, pid_t thread, uint64_t deadline);

/* Lets it go on. */
void traced_release(struct traced *traced);

/* To be called as long as this process waits for anything, whenever SIGCHLD has come: detaches
 * threads that stopped only after traced_stop or a stop of all had given them up. */
void traced_attend_late(void);

/* Goes on until its next stop, with ptrace's request PTRACE_CONT or PTRACE_SYSCALL. False with errno:
 * it has ended, or does not stop. */
bool traced_resume(struct traced *traced, int request, uint64_t deadline);

/* From any stop but that of a signal to TRACED_STOPPED, without running code of the program. */
bool traced_settle(struct traced *traced, uint64_t deadline);

enum { THREADS_MAX = 8192 };

struct threads {
    pid_t process;
    size_t count;  /* of the stopped */
    size_t asleep; /* that were left alone */
    struct traced stopped[THREADS_MAX];
};

/* Notes which threads run now, without stopping any. False with errno: EBUSY, one is in a system
 * call that no signal interrupts. */
bool threads_look(struct threads *threads, pid_t process);

/* Stops those that were noted and have not ended, but for `except`. False with errno; the caller
 * releases those that were stopped. */
bool threads_stop_noted(struct threads *threads, pid_t except, uint64_t deadline);

/* Stops all that run, also those that wake meanwhile, but for `except`; as above. */
bool threads_stop_running(struct threads *threads, pid_t process, pid_t except, uint64_t deadline);
void threads_release(struct threads *threads);

#endif
