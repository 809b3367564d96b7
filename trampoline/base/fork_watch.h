/* fork_watch.h - whether this process is a forked child that was made without fork handlers.
 *
 * The handlers of pthread_atfork run when a process forks by fork(3). A child that is made by the
 * system call alone (clone(2), _Fork(3)) has all that its parent had, and no handler has run: it
 * would write into the parent's images and files. So a byte is checked before, which is 1, and
 * which the kernel clears in each child (MADV_WIPEONFORK, Linux 4.14), without a system call. On
 * older kernels the process id is compared.
 *
 * Each module with state of the process is a watcher of its own. Any thread. */
#ifndef PYPERF_FORK_WATCH_H
#define PYPERF_FORK_WATCH_H

#include <stdbool.h>

enum fork_watcher { FORK_WATCH_PROFILE, FORK_WATCH_OUTPUTS, FORK_WATCH_SAMPLER, FORK_WATCHERS };

/* Whether this is a new process, of which the watcher has not been told. */
bool fork_watch_is_child(enum fork_watcher watcher);

/* Tells the watcher that its state is now this process's. The first call, by the first watcher,
 * begins the watch. Safe in a signal handler from the second call on. */
void fork_watch_seen(enum fork_watcher watcher);

#endif
