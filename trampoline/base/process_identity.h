/* process_identity.h - identifies a process among all that had its pid on this machine, by
 * /proc. */
#ifndef PYPERF_PROCESS_IDENTITY_H
#define PYPERF_PROCESS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>

struct process_identity {
    uint64_t start;         /* clock ticks from boot to its start: /proc/PID/stat, field 22 */
    uint64_t pid_namespace; /* inode of /proc/PID/ns/pid */
    uint8_t boot[16];       /* /proc/sys/kernel/random/boot_id */
    uint32_t pid;           /* in that namespace */
};

/* The identity of this process. False when /proc does not give all of it. Keeps errno. */
bool process_identity_get(struct process_identity *own);

/* Whether a process is known to be alive; `own` is this process. False in another pid namespace, after
 * another boot, and for an identity that is not known. Keeps errno. */
bool process_is_alive(const struct process_identity *process, const struct process_identity *own);

/* Whether `time` (CLOCK_REALTIME, seconds) is before this process's start; false when that is
 * unknown. An exec does not change the start. Keeps errno. */
bool process_is_younger_than(int64_t time);

#endif
