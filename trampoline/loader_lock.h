/* loader_lock.h - whether dlopen can be called in a forked child.
 *
 * glibc's list of loaded objects is guarded by _dl_load_write_lock, which dlopen takes, and
 * dl_iterate_phdr for as long as it walks: unwinders walk it, and profilers. When a thread walks it
 * while another one forks, the child has the lock and nobody who will ever give it back (glibc 2.36,
 * posix/fork.c, makes only _dl_load_lock new): dlopen, and everything else that walks the list,
 * waits for ever there.
 *
 * No function says whether it is taken. So it is looked for once, in the first process: it is the
 * mutex in the loader's data that this thread owns while dl_iterate_phdr calls it, and not
 * afterwards. */
#ifndef PYPERF_LOADER_LOCK_H
#define PYPERF_LOADER_LOCK_H

#include <stdbool.h>

/* Looks for the lock: before the first fork, in one thread. Further calls do nothing. */
void loader_lock_find(void);

/* Whether dlopen will come back. False in a forked child when the lock was taken at the fork, or was
 * not found. */
bool loader_lock_is_usable(void);

#endif
