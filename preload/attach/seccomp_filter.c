#include "preload/attach/seccomp_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch_attach.h"

enum {
    REQUEST_GET_FILTER = 0x420c, /* linux/ptrace.h, PTRACE_SECCOMP_GET_FILTER; Linux 4.4 */
    FILTERS_MAX = 64,
};

/* The system calls of a start of the sampler or of trampolines, and of dlopen of both libraries, as
 * strace shows them. mmap and mprotect have the arguments that filters look at: executable memory. */
#define CALL(name, ...)                                                                            \
    {                                                                                              \
#name, SYS_##name,                                                                         \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
static const struct call {
    const char *name;
    int number;
    uint64_t arguments[6];
} calls[] = {
    CALL(mmap, 0, 4096, 5, 2, 3),     /* PROT_READ | PROT_EXEC, MAP_PRIVATE, a file */
    CALL(mmap, 0, 4096, 3, 0x22, -1), /* PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS */
    CALL(mmap, 0, 4096, 3, 1, 3),     /* MAP_SHARED: the file of samples */
    CALL(mprotect, 0, 4096, 5),
    CALL(mprotect, 0, 4096, 1),
    CALL(munmap),
    CALL(memfd_create),
    CALL(openat),
    CALL(read),
    CALL(pread64), /* the loader */
    CALL(write),
    CALL(fstatfs),
    CALL(uname),
    CALL(getppid),
    CALL(clock_gettime),
    CALL(lseek),
    CALL(close),
    CALL(fstat),
    CALL(newfstatat),
    CALL(timer_create, 2),
    CALL(timer_settime),
    CALL(timer_delete),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(getpid),
    CALL(gettid),
    CALL(ftruncate),
    CALL(fallocate),
    CALL(linkat),
    CALL(unlink),
    CALL(readlink),
    CALL(futex),
};
enum { CALLS = sizeof calls / sizeof *calls };

/* classic BPF: Documentation/networking/filter.rst; what seccomp allows of it: kernel/seccomp.c,
 * seccomp_check_filter */

struct machine {
    uint32_t a, x, memory[BPF_MEMWORDS];
};

static bool load(struct machine *machine, const struct sock_filter *line,
                 const struct seccomp_data *data)
{
    uint32_t *to = BPF_CLASS(line->code) == BPF_LD ? &machine->a : &machine->x;
    switch (BPF_MODE(line->code)) {
    case BPF_IMM:
        *to = line->k;
        return true;
    case BPF_MEM:
        if (line->k >= BPF_MEMWORDS)
            return false;
        *to = machine->memory[line->k];
        return true;
    case BPF_LEN:
        *to = sizeof *data;
        return true;
    case BPF_ABS:
        if (line->k > sizeof *data - sizeof *to || (line->k & 3) != 0)
            return false;
        memcpy(to, (const char *)data + line->k, sizeof *to);
        return true;
    }
    return false;
}

static bool calculate(struct machine *machine, const struct sock_filter *line)
{
    uint32_t operand = BPF_SRC(line->code) == BPF_X ? machine->x : line->k;
    switch (BPF_OP(line->code)) {
    case BPF_ADD:
        machine->a += operand;
        return true;
    case BPF_SUB:
        machine->a -= operand;
        return true;
    case BPF_MUL:
        machine->a *= operand;
        return true;
    case BPF_DIV:
        machine->a = operand != 0 ? machine->a / operand : 0;
        return operand != 0;
    case BPF_AND:
        machine->a &= operand;
        return true;
    case BPF_OR:
        machine->a |= operand;
        return true;
    case BPF_XOR:
        machine->a ^= operand;
        return true;
    case BPF_LSH:
        machine->a = operand < 32 ? machine->a << operand : 0;
        return true;
    case BPF_RSH:
        machine->a = operand < 32 ? machine->a >> operand : 0;
        return true;
    case BPF_NEG:
        machine->a = -machine->a;
        return true;
    }
    return false;
}

static size_t distance(const struct machine *machine, const struct sock_filter *line)
{
    uint32_t operand = BPF_SRC(line->code) == BPF_X ? machine->x : line->k;
    bool holds = false;
    switch (BPF_OP(line->code)) {
    case BPF_JA:
        return line->k;
    case BPF_JEQ:
        holds = machine->a == operand;
        break;
    case BPF_JGT:
        holds = machine->a > operand;
        break;
    case BPF_JGE:
        holds = machine->a >= operand;
        break;
    case BPF_JSET:
        holds = (machine->a & operand) != 0;
        break;
    }
    return holds ? line->jt : line->jf;
}

static bool step(struct machine *machine, const struct sock_filter *line,
                 const struct seccomp_data *data)
{
    switch (BPF_CLASS(line->code)) {
    case BPF_LD:
    case BPF_LDX:
        return load(machine, line, data);
    case BPF_ST:
    case BPF_STX:
        if (line->k >= BPF_MEMWORDS)
            return false;
        machine->memory[line->k] = BPF_CLASS(line->code) == BPF_ST ? machine->a : machine->x;
        return true;
    case BPF_ALU:
        return calculate(machine, line);
    case BPF_MISC:
        if (line->code == (BPF_MISC | BPF_TAX))
            machine->x = machine->a;
        else if (line->code == (BPF_MISC | BPF_TXA))
            machine->a = machine->x;
        else
            return false;
        return true;
    }
    return false;
}

uint32_t seccomp_filter_run(const struct sock_filter *program, size_t count,
                            const struct seccomp_data *data)
{
    struct machine machine = {0, 0, {0}};
    for (size_t i = 0; i < count; i++) { /* jumps only lead forward */
        const struct sock_filter *line = &program[i];
        if (BPF_CLASS(line->code) == BPF_RET)
            return BPF_RVAL(line->code) == BPF_A ? machine.a : line->k;
        if (BPF_CLASS(line->code) == BPF_JMP)
            i += distance(&machine, line);
        else if (!step(&machine, line, data))
            break;
    }
    return SECCOMP_RET_KILL_PROCESS;
}

/* An error is answered by a line of libpyperf's; a supervisor decides as it does for the others. */
static bool harms(uint32_t answer)
{
    answer &= SECCOMP_RET_ACTION_FULL;
    return answer == SECCOMP_RET_KILL_PROCESS || answer == SECCOMP_RET_KILL_THREAD ||
           answer == SECCOMP_RET_TRAP;
}

const char *seccomp_filter_forbids(const struct sock_filter *program, size_t count)
{
    for (size_t i = 0; i < CALLS; i++) {
        struct seccomp_data data = {.nr = calls[i].number, .arch = ATTACH_AUDIT_ARCH};
        for (size_t j = 0; j < 6; j++)
            data.args[j] = calls[i].arguments[j];
        if (harms(seccomp_filter_run(program, count, &data)))
            return calls[i].name;
    }
    return NULL;
}

/* a process's filters */

static bool refuse_call(pid_t process, const char *call, struct refusal *why)
{
    return refuse(why,
                  "process %d has a seccomp filter that ends it for %s, which libpyperf needs: "
                  "allow that call, or start it with libpyperf before the filter is set",
                  process, call);
}

/* All filters of the thread: each must allow. False with errno if they cannot be read. */
static bool read_all(pid_t thread, const char **forbidden)
{
    *forbidden = NULL;
    for (long i = 0; i < FILTERS_MAX; i++) {
        long count = syscall(SYS_ptrace, REQUEST_GET_FILTER, thread, i, NULL);
        if (count < 0)
            return i > 0 && errno == ENOENT;
        struct sock_filter *program = calloc((size_t)count + 1, sizeof *program);
        if (program == NULL)
            return false;
        long got = syscall(SYS_ptrace, REQUEST_GET_FILTER, thread, i, program);
        if (got == count && *forbidden == NULL)
            *forbidden = seccomp_filter_forbids(program, (size_t)count);
        free(program);
        if (got != count)
            return false;
    }
    return true;
}

/* The calls with arguments that make each of them fail. */
static void try_calls(void)
{
    for (size_t i = 0; i < CALLS; i++)
        if (calls[i].number != SYS_rt_sigreturn)
            syscall(calls[i].number, -1L, 0L, -1L, -1L, -1L, -1L);
}

static bool survives(void)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        try_calls();
        syscall(SYS_exit_group, 0);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && WIFEXITED(status);
}

bool seccomp_filter_allows(pid_t process, pid_t thread, const struct status *status,
                           struct refusal *why)
{
    const char *forbidden;
    struct status own;
    if (read_all(thread, &forbidden))
        return forbidden == NULL || refuse_call(process, forbidden, why);
    if (!status_read(getpid(), &own) || own.seccomp == 0 || own.filters != status->filters ||
        status_sharing(process, "ns/pid") != SHARING_YES)
        return refuse(why,
                      "process %d has seccomp filters, which this process may not read: run "
                      "this as root of the machine, outside of the container (CAP_SYS_ADMIN)",
                      process);
    return survives() ||
           refuse(why,
                  "process %d and this one have a seccomp filter that kills for system calls "
                  "that libpyperf needs: use another seccomp profile",
                  process);
}
