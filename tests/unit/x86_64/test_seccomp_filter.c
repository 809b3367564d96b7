/* test_seccomp_filter.c - filters are evaluated as the kernel does it. */
#include <linux/audit.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/attach/seccomp_filter.h"
#include "support/support.h"

#define LOAD(field)           BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(what)          BPF_STMT(BPF_RET | BPF_K, what)
#define ON_CALL(number, what) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1), ANSWER(what)

static const struct sock_filter harmless[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
    ANSWER(SECCOMP_RET_KILL_PROCESS),
    LOAD(nr),
    ON_CALL(SYS_ptrace, SECCOMP_RET_KILL_PROCESS),
    ON_CALL(SYS_openat, SECCOMP_RET_ERRNO | EACCES),
    ON_CALL(SYS_timer_create, SECCOMP_RET_LOG),
    ANSWER(SECCOMP_RET_ALLOW),
};
static const struct sock_filter without_timers[] = {
    LOAD(nr),
    ON_CALL(SYS_timer_create, SECCOMP_RET_KILL_THREAD),
    ANSWER(SECCOMP_RET_ALLOW),
};
/* As systemd's MemoryDenyWriteExecute, but with a signal. */
static const struct sock_filter without_executable[] = {
    LOAD(nr),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
    LOAD(args[2]),
    BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1),
    ANSWER(SECCOMP_RET_TRAP),
    ANSWER(SECCOMP_RET_ALLOW),
};

TEST(what_is_forbidden)
{
    ck_assert_ptr_null(seccomp_filter_forbids(harmless, LENGTH_OF(harmless)));
    ck_assert_str_eq(seccomp_filter_forbids(without_timers, LENGTH_OF(without_timers)),
                     "timer_create");
    ck_assert_str_eq(seccomp_filter_forbids(without_executable, LENGTH_OF(without_executable)),
                     "mprotect");
    ck_assert_str_eq(seccomp_filter_forbids(harmless, 1), "mmap"); /* has no end */
}

/* a = 7; m[3] = a; x = m[3]; a = ((a * x - 9) / 4 | 0x100) << 1 ^ x; */
TEST(arithmetic)
{
    const struct seccomp_data data = {.nr = 7};
    const struct sock_filter program[] = {
        LOAD(nr),
        BPF_STMT(BPF_ST, 3),
        BPF_STMT(BPF_LDX | BPF_W | BPF_MEM, 3),
        BPF_STMT(BPF_ALU | BPF_MUL | BPF_X, 0),
        BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 9),
        BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 4),
        BPF_STMT(BPF_ALU | BPF_OR | BPF_K, 0x100),
        BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 1),
        BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0),
        BPF_STMT(BPF_RET | BPF_A, 0),
    };
    ck_assert_uint_eq(seccomp_filter_run(program, LENGTH_OF(program), &data),
                      (uint32_t)(((7 * 7 - 9) / 4 | 0x100) << 1 ^ 7));
}

static const struct sock_filter damaged[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, sizeof(struct seccomp_data)),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0xfffffffc),
    BPF_STMT(BPF_LD | BPF_W | BPF_MEM, BPF_MEMWORDS),
    BPF_STMT(BPF_ST, 0xffffffff),
    BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0),
    BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff),
    BPF_STMT(0xffff, 0),
};

TEST_FOR_EACH(damaged_programs_kill, LENGTH_OF(damaged))
{
    const struct seccomp_data data = {.nr = 1};
    const struct sock_filter program[] = {damaged[_i], ANSWER(SECCOMP_RET_ALLOW)};
    ck_assert_uint_eq(seccomp_filter_run(program, 2, &data), SECCOMP_RET_KILL_PROCESS);
}

/* of another process */

static void install(const struct sock_filter *filter, size_t count)
{
    struct sock_fprog program = {(unsigned short)count, (struct sock_filter *)filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        _exit(1);
}

static bool allows(const struct sock_filter *filter, size_t count, struct refusal *why)
{
    int status_of, ready[2];
    char byte;
    struct status status;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        install(harmless, LENGTH_OF(harmless));
        install(filter, count);
        syscall(SYS_write, ready[1], "x", 1L);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(ptrace(PTRACE_SEIZE, child, NULL, NULL), 0);
    ck_assert_int_eq(ptrace(PTRACE_INTERRUPT, child, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(child, &status_of, 0), child);
    ck_assert(status_read(child, &status));
    ck_assert_int_eq(status.seccomp, 2);
    bool allowed = seccomp_filter_allows(child, child, &status, why);
    kill(child, SIGKILL);
    waitpid(child, &status_of, 0);
    return allowed;
}

TEST(filters_of_a_process)
{
    struct refusal why = {""};
    bool allowed = allows(harmless, LENGTH_OF(harmless), &why);
    if (!allowed && geteuid() != 0) {
        skip("filters", why.line);
        return;
    }
    ck_assert_msg(allowed, "%s", why.line);
    ck_assert(!allows(without_timers, LENGTH_OF(without_timers), &why));
    ck_assert_msg(strstr(why.line, "timer_create") != NULL, "%s", why.line);
}
