#include "attach_thread.h"

#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    RED_ZONE = 128, /* psABI, 3.2.2 */
    /* include/linux/errno.h: a system call that is to be repeated. */
    ERESTARTSYS = 512,
    ERESTARTNOINTR = 513,
    ERESTARTNOHAND = 514,
    ERESTART_RESTARTBLOCK = 516,
    SYSCALL_LENGTH = 2,
    /* arch/x86/include/uapi/asm/ucontext.h */
    UC_FP_XSTATE = 1,
    UC_SIGCONTEXT_SS = 2,
    UC_STRICT_RESTORE_SS = 4,
    /* asm/sigcontext.h: struct _fpx_sw_bytes, in the part of the FXSAVE area that software has */
    SOFTWARE_BYTES = 464,
    EXTENDED_AREA = 576,                /* SDM vol. 1, 13.4: legacy region and header */
    PTRACE_GETSIGMASK_REQUEST = 0x420a, /* linux/ptrace.h */
};
#define FP_XSTATE_MAGIC1_ 0x46505853u
#define FP_XSTATE_MAGIC2_ 0x46505845u

/* The kernel's ucontext ends behind 8 bytes of the mask; glibc's has more. */
#define CONTEXT_SIZE (offsetof(ucontext_t, uc_sigmask) + sizeof(uint64_t))

bool attach_registers_get(pid_t thread, struct attach_registers *registers)
{
    return ptrace(PTRACE_GETREGS, thread, NULL, &registers->user) == 0;
}

bool attach_registers_set(pid_t thread, const struct attach_registers *registers)
{
    return ptrace(PTRACE_SETREGS, thread, NULL, &registers->user) == 0;
}

uint64_t attach_pc(const struct attach_registers *registers)
{
    return registers->user.rip;
}

uint64_t attach_stack_pointer(const struct attach_registers *registers)
{
    return registers->user.rsp;
}

uint64_t attach_result(const struct attach_registers *registers)
{
    return registers->user.rax;
}

long attach_system_call(const struct attach_registers *registers)
{
    return (long)registers->user.orig_rax;
}

bool attach_registers_point(const struct attach_registers *registers, uint64_t from, uint64_t to)
{
    const struct user_regs_struct *user = &registers->user;
    const uint64_t values[] = {user->rax, user->rbx, user->rcx, user->rdx, user->rsi, user->rdi,
                               user->rbp, user->r8,  user->r9,  user->r10, user->r11, user->r12,
                               user->r13, user->r14, user->r15, user->rip};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i] >= from && values[i] < to)
            return true;
    return false;
}

/* How long an XSAVE area in the standard format is that has these components: SDM vol. 1, 13.4.3. */
static size_t area_of(uint64_t components)
{
    size_t end = EXTENDED_AREA;
    for (unsigned i = 2; i < 63; i++) {
        unsigned size, offset, flags, unused;
        if ((components >> i & 1) == 0 ||
            !__get_cpuid_count(0xd, i, &size, &offset, &flags, &unused))
            continue;
        if (size != 0 && offset + size > end)
            end = offset + size;
    }
    return end;
}

/* Makes of what PTRACE_GETREGSET gives what rt_sigreturn takes (arch/x86/kernel/fpu/signal.c,
 * check_xstate_in_sigframe): the same area with marks. Its software bytes begin with the components
 * that this process may use (fpu/regset.c). Returns its size; 0 with errno: there is none. */
static size_t vector_state(pid_t thread, uint8_t area[ATTACH_XSTATE_MAX])
{
    struct {
        uint32_t magic, extended_size;
        uint64_t components;
        uint32_t size, unused[7];
    } software = {.magic = FP_XSTATE_MAGIC1_};
    uint32_t end = FP_XSTATE_MAGIC2_;
    struct iovec all = {area, ATTACH_XSTATE_MAX - 8}; /* a multiple of 8; room for `end` */
    if (ptrace(PTRACE_GETREGSET, thread, NT_X86_XSTATE, &all) != 0)
        return 0;
    memcpy(&software.components, area + SOFTWARE_BYTES, sizeof software.components);
    software.size = (uint32_t)area_of(software.components);
    software.extended_size = software.size + sizeof end;
    if (software.size > all.iov_len) {
        errno = EOVERFLOW;
        return 0;
    }
    memcpy(area + SOFTWARE_BYTES, &software, sizeof software);
    memcpy(area + software.size, &end, sizeof end);
    return software.extended_size;
}

/* As the kernel does when a thread goes on, a system call that was interrupted is made again; from its
 * beginning, because restart_syscall(2) does not survive rt_sigreturn. */
static void repeat_system_call(greg_t *general, const struct user_regs_struct *user)
{
    long error = -(long)user->rax;
    if ((long)user->orig_rax < 0 || (error != ERESTARTSYS && error != ERESTARTNOINTR &&
                                     error != ERESTARTNOHAND && error != ERESTART_RESTARTBLOCK))
        return;
    general[REG_RAX] = (greg_t)user->orig_rax;
    general[REG_RIP] -= SYSCALL_LENGTH;
}

static void context_of(ucontext_t *context, const struct user_regs_struct *user, uint64_t mask)
{
    greg_t *general = context->uc_mcontext.gregs;
    memset(context, 0, sizeof *context);
    context->uc_flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    /* Not a valid value: the kernel leaves the thread's signal stack as it is (restore_altstack). */
    context->uc_stack.ss_flags = 0x7fff;
    const unsigned long long values[][2] = {
        {REG_R8, user->r8},   {REG_R9, user->r9},      {REG_R10, user->r10}, {REG_R11, user->r11},
        {REG_R12, user->r12}, {REG_R13, user->r13},    {REG_R14, user->r14}, {REG_R15, user->r15},
        {REG_RDI, user->rdi}, {REG_RSI, user->rsi},    {REG_RBP, user->rbp}, {REG_RBX, user->rbx},
        {REG_RDX, user->rdx}, {REG_RAX, user->rax},    {REG_RCX, user->rcx}, {REG_RSP, user->rsp},
        {REG_RIP, user->rip}, {REG_EFL, user->eflags},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        general[values[i][0]] = (greg_t)values[i][1];
    general[REG_CSGSFS] = (greg_t)(user->cs | user->gs << 16 | user->fs << 32 | user->ss << 48);
    memcpy(&context->uc_sigmask, &mask, sizeof mask);
    repeat_system_call(general, user);
}

/* The mask that is in force when the thread goes on. */
static bool signal_mask(pid_t thread, uint64_t *mask)
{
    return syscall(SYS_ptrace, PTRACE_GETSIGMASK_REQUEST, thread, sizeof *mask, mask) == 0;
}

bool attach_frame_make(pid_t thread, const struct attach_registers *registers,
                       uint64_t signal_return, struct attach_frame *frame)
{
    static uint8_t area[ATTACH_XSTATE_MAX];
    ucontext_t context;
    uint64_t mask;
    size_t vector = vector_state(thread, area);
    if (vector == 0 || !signal_mask(thread, &mask))
        return false;
    context_of(&context, &registers->user, mask);
    uint64_t place = (registers->user.rsp - RED_ZONE - vector) & ~(uint64_t)63;
    frame->address = ((place - CONTEXT_SIZE) & ~(uint64_t)15) - sizeof signal_return;
    frame->size = place + vector - frame->address;
    context.uc_mcontext.fpregs = (fpregset_t)(uintptr_t)place;
    memset(frame->bytes, 0, frame->size);
    memcpy(frame->bytes, &signal_return, sizeof signal_return);
    memcpy(frame->bytes + sizeof signal_return, &context, CONTEXT_SIZE);
    memcpy(frame->bytes + (place - frame->address), area, vector);
    return true;
}

struct attach_registers attach_run(const struct attach_registers *registers,
                                   const struct attach_frame *frame, uint64_t code)
{
    enum { DIRECTION = 1 << 10 };
    struct attach_registers changed = *registers;
    changed.user.rip = code;
    changed.user.rsp = frame->address;
    changed.user.orig_rax = (unsigned long long)-1; /* nothing is to be repeated */
    changed.user.eflags &= ~(unsigned long long)DIRECTION;
    return changed;
}

struct attach_registers attach_call(const struct attach_registers *registers,
                                    const struct attach_frame *frame, uint64_t gadget, long number,
                                    const uint64_t arguments[6])
{
    struct attach_registers changed = attach_run(registers, frame, gadget);
    changed.user.rax = (unsigned long long)number;
    changed.user.rdi = arguments[0];
    changed.user.rsi = arguments[1];
    changed.user.rdx = arguments[2];
    changed.user.r10 = arguments[3];
    changed.user.r8 = arguments[4];
    changed.user.r9 = arguments[5];
    return changed;
}
