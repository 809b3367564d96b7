/* Records the system calls of a program, or runs a program and permits no others:
 *
 *   system_calls record FILE -- program arguments         writes them to FILE, one a line; also those
 *                                                         of its threads and children
 *   system_calls permit FILE NAME... -- program arguments a seccomp filter kills it for a call that
 *                                                         is neither in FILE nor named
 *
 * A call of the list below has a name, others are numbers. The status is the program's, 99 if the
 * kernel does not permit this. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off */
#define CALLS(X) \
    X(brk)                                                                                         \
    X(clock_getres)                                                                                \
    X(clock_gettime)                                                                               \
    X(clock_nanosleep)                                                                             \
    X(copy_file_range)                                                                             \
    X(dup) X(exit)                                                                                 \
    X(fallocate)                                                                                   \
    X(fchmod)                                                                                      \
    X(fcntl)                                                                                       \
    X(flock)                                                                                       \
    X(fstatfs)                                                                                     \
    X(ftruncate)                                                                                   \
    X(futex) X(getcwd) X(getdents64) X(getpid) X(getppid) X(getrandom) X(gettid) X(getrlimit) \
    X(ioctl) X(kill) X(link) X(linkat) X(lseek) X(madvise) X(membarrier) X(memfd_create) \
    X(mincore) X(mlock) X(mmap) X(mprotect) X(mremap) X(msync) X(munmap) X(open) X(openat) \
    X(pipe2) X(poll) X(ppoll) X(prctl) X(pread64) X(prlimit64) X(process_vm_readv) \
    X(pwrite64) X(read) X(readlink) X(readlinkat) X(rename) X(renameat2) \
    X(restart_syscall) X(rt_sigaction) X(rt_sigpending) X(rt_sigprocmask) X(rt_sigreturn) \
    X(rt_sigtimedwait) X(sched_getaffinity) X(sched_yield) X(statfs) X(sysinfo) X(tgkill) \
    X(timer_create) X(timer_delete) X(timer_settime) X(uname) X(unlink) X(unlinkat) X(userfaultfd) X(write) X(writev)
/* clang-format on */

static const struct {
    const char *name;
    long number;
} calls[] = {
#define X(name) {#name, SYS_##name},
    CALLS(X)
#undef X
};

enum { HIGHEST = 1024 };
static char seen[HIGHEST];

static void cannot(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(99);
}

static const char *name_of(long number)
{
    static char digits[24];
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
        if (calls[i].number == number)
            return calls[i].name;
    snprintf(digits, sizeof digits, "%ld", number);
    return digits;
}

static void note(const char *name)
{
    char *end;
    long number = strtol(name, &end, 10);
    for (size_t i = 0; *end != '\0' && i < sizeof calls / sizeof *calls; i++)
        if (strcmp(calls[i].name, name) == 0) {
            number = calls[i].number;
            end = "";
        }
    if (*end != '\0' || number < 0 || number >= HIGHEST)
        cannot(name);
    seen[number] = 1;
}

static int continue_after(pid_t stopped, int status)
{
    struct __ptrace_syscall_info info;
    int signal = WSTOPSIG(status);
    if (signal == (SIGTRAP | 0x80)) {
        if (ptrace(PTRACE_GET_SYSCALL_INFO, stopped, sizeof info, &info) < 0)
            return -1;
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr < HIGHEST)
            seen[info.entry.nr] = 1;
        signal = 0;
    } else if (signal == SIGTRAP || signal == SIGSTOP) { /* an event, or a new one's first stop */
        signal = 0;
    }
    ptrace(PTRACE_SYSCALL, stopped, NULL, (void *)(long)signal);
    return 0;
}

static int trace(char **program)
{
    int status, result = 99;
    pid_t child = fork(), stopped;
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            cannot("ptrace");
        raise(SIGSTOP);
        execv(*program, program);
        cannot(*program);
    }
    if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SETOPTIONS, child, NULL,
               PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
                   PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL) != 0)
        cannot("ptrace");
    ptrace(PTRACE_SYSCALL, child, NULL, NULL);
    while ((stopped = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSTOPPED(status) && continue_after(stopped, status) != 0)
            cannot("PTRACE_GET_SYSCALL_INFO");
        if (stopped == child && WIFEXITED(status))
            result = WEXITSTATUS(status);
    }
    return result;
}

static int record(const char *path, char **program)
{
    int status = trace(program);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        cannot(path);
    for (long i = 0; i < HIGHEST; i++)
        if (seen[i])
            fprintf(file, "%s\n", name_of(i));
    fclose(file);
    return status;
}

static void permit(const char *path)
{
    static struct sock_filter filter[2 * HIGHEST + 8];
    unsigned short length = 0;
    char name[64];
    FILE *file = fopen(path, "r");
    if (file == NULL)
        cannot(path);
    while (fscanf(file, "%63s", name) == 1)
        note(name);
    fclose(file);
    filter[length++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (unsigned i = 0; i < HIGHEST; i++)
        if (seen[i]) {
            filter[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, i, 0, 1);
            filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        }
    filter[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog program = {length, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        cannot("seccomp");
}

int main(int count, char **words)
{
    int i = 3;
    if (count < 5)
        cannot("usage: system_calls record|permit FILE [NAME...] -- program");
    for (; i < count - 1 && strcmp(words[i], "--") != 0; i++)
        note(words[i]);
    if (strcmp(words[1], "record") == 0)
        return record(words[2], words + i + 1);
    permit(words[2]);
    execv(words[i + 1], words + i + 1);
    cannot(words[i + 1]);
}
