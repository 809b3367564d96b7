/* fork_watch.h - whether this process is a forked child that nobody has told of its birth.
 *
 * The handlers of pthread_atfork run when a process forks by fork(3). A child that is made by the
 * system call alone (clone(2), _Fork(3)) has all that its parent had, and no handler has run: it would
 * write into the parent's images and files. So a byte is looked at before, which is 1, and which the
 * kernel makes 0 in each child (MADV_WIPEONFORK, Linux 4.14): no system call. Where the kernel does
 * not do that, the process id is compared.
 *
 * Each module that has state of the process watches for itself. Any thread. */
#ifndef PYPERF_FORK_WATCH_H
#define PYPERF_FORK_WATCH_H

#include <stdbool.h>

enum fork_watcher { FORK_WATCH_PROFILE, FORK_WATCH_OUTPUTS, FORK_WATCHERS };

/* Whether the watcher has not been told yet that this is another process. */
bool fork_watch_is_child(enum fork_watcher watcher);

/* The watcher knows: from now on its state is that of this process. The first call, by the first
 * watcher, begins the watch. Safe in a signal handler from the second call on. */
void fork_watch_seen(enum fork_watcher watcher);

#endif
