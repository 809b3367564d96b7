/* thread_name.h - what /proc says of a process and its threads, for signal handlers: system calls
 * alone, and no printf of a libc. */
#ifndef PYPERF_THREAD_NAME_H
#define PYPERF_THREAD_NAME_H

#include <stdint.h>

enum { THREAD_NAME = 16 }; /* TASK_COMM_LEN, include/linux/sched.h */

/* The name of a thread, of whatever process: /proc/TID/comm, which proc(5) does not list and has.
 * Zeros if there is none. Changes errno. */
void thread_name(uint32_t thread, char name[THREAD_NAME]);

#endif
