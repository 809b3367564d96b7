/* attach_thread.h - the registers of a thread of another process that is stopped by ptrace, and a
 * call in it that cannot be left half done.
 *
 * A thread is led to other code by one PTRACE_SETREGS, and led back by another one. If the debugger
 * is killed between the two, the kernel lets the thread run on; so everything that it then needs to
 * find its own way back is on its stack before the first:
 *
 *     its stack pointer         ...
 *     - red zone (128)          left alone
 *                               XSAVE area        its vector registers
 *                               struct ucontext   its registers and its signal mask
 *     stack pointer of the call address of rt_sigreturn's caller
 *
 *     `syscall; ret`, or a routine that ends in `ret` ---> mov $15, %rax; syscall ---> as before
 *
 * That is a signal handler's frame (arch/x86/kernel/signal_64.c, struct rt_sigframe) of a signal
 * that never came. A signal that does come is handled on the stack below, and returns to the call.
 * What gets lost, if the debugger is killed in these some 100 microseconds, is the time that a
 * timed wait has already waited: it begins anew (repeat_system_call). A process with a shadow
 * stack (Linux 6.6, glibc's tunable x86_shstk) has no such way back: there the thread would fault.
 *
 * The frame's bytes on the stack are put back at the end. */
#ifndef PYPERF_ATTACH_THREAD_H
#define PYPERF_ATTACH_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

enum {
    ATTACH_XSTATE_MAX = 16384, /* with AMX some 11,000: CPUID leaf 13 */
    ATTACH_FRAME_MAX = ATTACH_XSTATE_MAX + 1024,
};

struct attach_registers {
    struct user_regs_struct user;
};

/* The frame for one stop of a thread. */
struct attach_frame {
    uint64_t address; /* of `bytes`, in the thread's memory; the call's stack pointer */
    size_t size;
    uint8_t bytes[ATTACH_FRAME_MAX];
};

/* Each answers false with errno. */
bool attach_registers_get(pid_t thread, struct attach_registers *registers);
bool attach_registers_set(pid_t thread, const struct attach_registers *registers);

uint64_t attach_pc(const struct attach_registers *registers);
uint64_t attach_stack_pointer(const struct attach_registers *registers);
uint64_t attach_result(const struct attach_registers *registers); /* of a system call; or -errno */
/* The number of the system call that it is in, or was interrupted in; -1: in none. */
long attach_system_call(const struct attach_registers *registers);
/* Whether a general register has a value of from <= value < to. */
bool attach_registers_point(const struct attach_registers *registers, uint64_t from, uint64_t to);

/* Makes the frame of a stopped thread. `registers` are its own, `signal_return` is an address where
 * rt_sigreturn is called. */
bool attach_frame_make(pid_t thread, const struct attach_registers *registers,
                       uint64_t signal_return, struct attach_frame *frame);

/* The registers with which it makes a system call at `gadget`, or runs the code there. */
struct attach_registers attach_call(const struct attach_registers *registers,
                                    const struct attach_frame *frame, uint64_t gadget, long number,
                                    const uint64_t arguments[6]);
struct attach_registers attach_run(const struct attach_registers *registers,
                                   const struct attach_frame *frame, uint64_t code);

#endif
