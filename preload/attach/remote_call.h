/* remote_call.h - system calls made by a thread of another process, which is borrowed for that.
 *
 *     remote_borrow      a thread is chosen and stopped; its way back is put on its stack
 *     remote_call ...    system calls, or code of ours without any
 *     remote_return      its registers, its stack, and a system call that it was in: as before
 *
 * attach_thread.h says why a kill of this process at any moment leaves the thread whole. No libc's
 * function is called in it: it may hold any lock. */
#ifndef PYPERF_ATTACH_REMOTE_CALL_H
#define PYPERF_ATTACH_REMOTE_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/attach/refusal.h"
#include "preload/attach/target.h"
#include "preload/attach/threads.h"

struct gadgets {
    uint64_t system_call, signal_return;
};

/* In the C library's code, or any other's. */
bool remote_gadgets(const struct target *target, struct gadgets *gadgets, struct refusal *why);

struct remote {
    const struct target *target;
    struct gadgets gadgets;
    struct traced traced;
    struct attach_registers own; /* its registers */
    struct attach_frame frame;
    uint8_t stack[ATTACH_FRAME_MAX]; /* what was where the frame is */
    uint64_t since;                  /* when it had stopped */
};

/* Which threads may be borrowed: those that run, or wait for another thread (futex); also those in
 * system calls that the kernel repeats by itself; or any that can be had, whose call may fail with
 * EINTR. */
enum remote_choice { REMOTE_UNSEEN, REMOTE_ANY };

/* For the caller's try i, from 0. A stopped call fails in Python 2, which repeats none. */
enum { REMOTE_TRY_AGAIN = 2000000 /* ns between two */ };
enum remote_choice remote_choice_of(int i, unsigned major);

/* False with `why` and errno: no thread of the process can be borrowed now; the caller may try again,
 * unless it is EPERM. */
bool remote_borrow(struct remote *remote, const struct target *target,
                   const struct gadgets *gadgets, enum remote_choice choice, struct refusal *why);

/* *result is the system call's, or -errno. False: a signal came first, or the process has ended;
 * then the caller returns the thread, and may begin anew. */
bool remote_call(struct remote *remote, long number, const uint64_t arguments[6], int64_t *result);

/* Runs code that ends in one system call, this one, and `ret`. False as above: the code may have been
 * run in part. */
bool remote_run(struct remote *remote, uint64_t code, long number);

/* Returns for how many nanoseconds it was stopped. */
uint64_t remote_return(struct remote *remote);

#endif
