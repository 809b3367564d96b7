/* loader_lock.h - whether dlopen can be called in a forked child without a deadlock.
 *
 * _dl_load_write_lock guards glibc's list of loaded objects. dlopen takes it, and so does
 * dl_iterate_phdr while it walks the list, for unwinders and profilers. If one thread holds it
 * while another forks, it stays locked in the child (glibc 2.36, posix/fork.c, resets only
 * _dl_load_lock): dlopen and dl_iterate_phdr then block for ever.
 *
 * No function tells whether it is held. So the first process finds it: it is the mutex in the
 * loader's data that this thread owns during a callback of dl_iterate_phdr, and not afterwards.
 *
 * musl's lock is another (ldso/dynlink.c, lock): it cannot be found in this way. From 1.2.2 on, whose
 * libc has _Fork, fork(3) waits for it and gives it to the child free (src/process/fork.c,
 * __ldso_atfork). A child of an earlier musl, or of the system call alone, does not call dlopen. */
#ifndef PYPERF_LOADER_LOCK_H
#define PYPERF_LOADER_LOCK_H

#include <stdbool.h>

/* Finds the lock. Call it before the first fork, in one thread; later calls do nothing. */
void loader_lock_find(void);

/* Call it in a child that fork(3) has made, in its handler (pthread_atfork). */
void loader_lock_forked(void);

/* Whether dlopen can take the lock. False in a forked child if it was held at the fork, or was not
 * found. */
bool loader_lock_is_usable(void);

#endif
