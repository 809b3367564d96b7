/* seccomp_filter.h - whether a process's seccomp filters would kill it for what libpyperf does in it.
 *
 * The filters can be read by a process that has CAP_SYS_ADMIN and no filters itself (seccomp(2),
 * PTRACE_SECCOMP_GET_FILTER). In a container without that, filters that all its processes have are
 * tried instead, in a child of this process. */
#ifndef PYPERF_ATTACH_SECCOMP_FILTER_H
#define PYPERF_ATTACH_SECCOMP_FILTER_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "preload/attach/refusal.h"
#include "preload/attach/status.h"

/* The answer of a filter: SECCOMP_RET_... with data. A program that cannot be run to its end, which the
 * kernel would not have taken, kills. */
uint32_t seccomp_filter_run(const struct sock_filter *program, size_t count,
                            const struct seccomp_data *data);

/* The name of a system call that libpyperf or its loading makes and that the filter answers with a
 * signal or the process's end; NULL: there is none. */
const char *seccomp_filter_forbids(const struct sock_filter *program, size_t count);

/* Of the stopped thread `thread` of a process with filters. False with the reason. */
bool seccomp_filter_allows(pid_t process, pid_t thread, const struct status *status,
                           struct refusal *why);

#endif
