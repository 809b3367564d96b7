/* status.h - what /proc says of a process and its threads (proc(5)). */
#ifndef PYPERF_ATTACH_STATUS_H
#define PYPERF_ATTACH_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "preload/attach/refusal.h"

struct status {
    char name[32];
    char state;    /* R, S, D, T, t, Z, X */
    pid_t tracer;  /* 0: none */
    uid_t user;    /* the real one */
    pid_t own_pid; /* its number in its own pid namespace */
    int threads;
    int seccomp;                   /* 0 none, 1 strict, 2 filters */
    int filters;                   /* how many of them; -1 before Linux 5.9 */
    uint64_t permitted, effective; /* capabilities */
};

/* Of a process or a thread. False with errno: there is none. */
bool status_read(pid_t pid, struct status *status);

/* A file below /proc/PID, at most size - 1 bytes, and a NUL; -1 with errno. */
ssize_t status_file(pid_t pid, const char *name, char *text, size_t size);

/* Whether a link below /proc/PID, such as "ns/mnt", leads where this process's does. */
enum sharing { SHARING_NO, SHARING_YES, SHARING_UNKNOWN /* it may not be read */ };
enum sharing status_sharing(pid_t pid, const char *name);

/* The threads of a process, at most `room`. Returns how many; 0 when it is gone. */
size_t status_threads(pid_t pid, pid_t *threads, size_t room);

enum thread_activity {
    THREAD_RUNS,
    THREAD_SLEEPS,      /* in the system call `number` */
    THREAD_UNREACHABLE, /* in the kernel, where no signal wakes it */
    THREAD_ENDED,       /* or is stopped */
};

/* The activity of a thread now. *number and *stack_pointer are set for one that sleeps: -1 and 0
 * if they are not known. */
enum thread_activity status_activity(pid_t pid, pid_t thread, long *number,
                                     uint64_t *stack_pointer);

/* The same without the system call: cheaper where there are many threads. */
enum thread_activity status_runs(pid_t pid, pid_t thread);

/* Whether the process's limit (RLIMIT_FSIZE) permits a file of that size; true if it cannot be read. */
bool status_permits_file(pid_t pid, uint64_t size);

/* Why this process may not trace that one, which has answered EPERM: always false. */
bool status_explain_permission(pid_t pid, const struct status *status, struct refusal *why);

#endif
