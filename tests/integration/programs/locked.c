/* Starts a program in a process that is locked down: locked WHAT... -- program arguments
 *
 *   mdwe      prctl(PR_SET_MDWE): no memory becomes executable
 *   seccomp   the same by the system calls that systemd's MemoryDenyWriteExecute= refuses
 *   no-perf   perf_event_open is refused, as in a container of Docker's
 *   no-mem    /proc/self/mem cannot be opened for writing
 *   null-mem  /proc/self/mem accepts writes and discards them
 *   no-proc   /proc is empty
 *   no-reader stderr is a pipe without reader
 *   no-room   stderr is a file, and files may not grow
 *   linux-3.10
 *             system calls that Linux 3.10 does not have fail, and so does MADV_WIPEONFORK
 *
 * Status 99 if the kernel does not permit this; stderr says what. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65 /* Linux 6.3 */
#endif

/* The first system call after Linux 3.10 is sched_setattr, of 3.14 (unistd_64.h, asm-generic/unistd.h). */
#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define FIRST_LATER  314
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define FIRST_LATER  274
#endif

static void cannot(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(99);
}

static void set_mdwe(void)
{
    if (prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0)
        cannot("PR_SET_MDWE");
}

/* The low half of an argument has all the flags. */
#define ARGUMENT(n)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)

/* Refuses a call whose n-th argument has all of these bits. */
#define REFUSE(call, n, bits)                                                                      \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),                         \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4), ARGUMENT(n),                              \
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits),                                                 \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1), RETURN(SECCOMP_RET_ERRNO | EPERM)

#define ON_THIS_ARCHITECTURE                                                                       \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),                       \
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0), RETURN(SECCOMP_RET_KILL)

static void set_filter(struct sock_filter *filter, unsigned short length)
{
    struct sock_fprog program = {length, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        cannot("seccomp");
}

static void set_no_perf(void)
{
    struct sock_filter filter[] = {
        ON_THIS_ARCHITECTURE,
        REFUSE(SYS_perf_event_open, 0, 0),
        RETURN(SECCOMP_RET_ALLOW),
    };
    set_filter(filter, sizeof filter / sizeof *filter);
    if (syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0) != -1 || errno != EPERM)
        cannot("the filter does not work");
}

static void set_seccomp(void)
{
    struct sock_filter filter[] = {
        ON_THIS_ARCHITECTURE,
        REFUSE(SYS_mmap, 2, PROT_WRITE | PROT_EXEC),
        REFUSE(SYS_mprotect, 2, PROT_EXEC),
        REFUSE(SYS_pkey_mprotect, 2, PROT_EXEC),
        REFUSE(SYS_shmat, 2, SHM_EXEC),
        RETURN(SECCOMP_RET_ALLOW),
    };
    set_filter(filter, sizeof filter / sizeof *filter);
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 || errno != EPERM ||
        mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        cannot("the filter does not work");
}

static void set_linux_3_10(void)
{
    struct sock_filter filter[] = {
        ON_THIS_ARCHITECTURE,
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_LATER, 0, 1),
        RETURN(SECCOMP_RET_ERRNO | ENOSYS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),
        ARGUMENT(2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_WIPEONFORK, 0, 1), /* Linux 4.14 */
        RETURN(SECCOMP_RET_ERRNO | EINVAL),
        RETURN(SECCOMP_RET_ALLOW),
    };
    set_filter(filter, sizeof filter / sizeof *filter);
    if (syscall(SYS_getrandom, NULL, 0, 0) != -1 || errno != ENOSYS)
        cannot("the filter does not work");
}

static void own_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        cannot("mount namespace");
}

/* The process keeps its pid over exec. */
static void cover_mem(int with_null)
{
    char path[64];
    own_mounts();
    snprintf(path, sizeof path, "/proc/%d/mem", (int)getpid());
    const char *cover = with_null ? "/dev/null" : "/proc/version";
    if (mount(cover, path, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
        cannot(path);
    int fd = open("/proc/self/mem", O_RDWR);
    if ((fd >= 0) != with_null)
        cannot("/proc/self/mem");
    close(fd);
}

static void empty_proc(void)
{
    own_mounts();
    if (mount("none", "/proc", "tmpfs", 0, NULL) != 0)
        cannot("/proc");
}

/* With the default actions, which end the program. */
static void set_stderr(int fd)
{
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    if (dup2(fd, STDERR_FILENO) < 0)
        cannot("stderr");
}

static void leave_stderr_without_reader(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        cannot("pipe");
    set_stderr(ends[1]);
    close(ends[0]);
    close(ends[1]);
}

static void leave_stderr_without_room(void)
{
    struct rlimit none = {0, RLIM_INFINITY};
    FILE *file = tmpfile();
    if (file == NULL || setrlimit(RLIMIT_FSIZE, &none) != 0)
        cannot("RLIMIT_FSIZE");
    set_stderr(fileno(file));
    fcntl(fileno(file), F_SETFD, FD_CLOEXEC);
}

int main(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "mdwe") == 0)
            set_mdwe();
        else if (strcmp(words[i], "seccomp") == 0)
            set_seccomp();
        else if (strcmp(words[i], "linux-3.10") == 0)
            set_linux_3_10();
        else if (strcmp(words[i], "no-perf") == 0)
            set_no_perf();
        else if (strcmp(words[i], "no-mem") == 0)
            cover_mem(0);
        else if (strcmp(words[i], "null-mem") == 0)
            cover_mem(1);
        else if (strcmp(words[i], "no-proc") == 0)
            empty_proc();
        else if (strcmp(words[i], "no-reader") == 0)
            leave_stderr_without_reader();
        else if (strcmp(words[i], "no-room") == 0)
            leave_stderr_without_room();
        else if (strcmp(words[i], "--") == 0 && i + 1 < count)
            execv(words[i + 1], words + i + 1);
        else
            break;
    }
    cannot("usage: locked WHAT... -- program");
}
