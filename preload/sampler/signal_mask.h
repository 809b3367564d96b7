/* signal_mask.h - threads that block all signals are sampled, too.
 *
 * Servers do so in threads that shall not handle their signals: uWSGI and Apache in those that
 * answer requests. The timer's signal would go to another thread, which would be taken for the one
 * that runs, or to none. So while it samples, a thread's mask never has the timer's signal together
 * with all others: the pointers of all mapped objects to pthread_sigmask and sigprocmask
 * (elf_got.h) lead to functions of ours, which leave it out. The program is told that it is
 * blocked, as it has asked for.
 *
 *     set: all signals     mask: all but SIGURG     old mask, asked for later: all signals
 *
 * A set with SIGURG and few others is left as it is: who waits for SIGURG blocks it so. The thread
 * that switches sampling on, which may have blocked all before, is treated alike; Apache's begins
 * so. What is not seen: objects that are loaded while it samples, and other threads that have
 * blocked it before. A thread is told of an inherited mask as it is. */
#ifndef PYPERF_SIGNAL_MASK_H
#define PYPERF_SIGNAL_MASK_H

#include <stdbool.h>

/* From now on that signal, always the same one, stays deliverable. Takes the loader's lock. */
void signal_mask_watch(int signal_number);

/* Masks are the program's own again, that of this thread at once. The pointers stay ours: an object
 * may have been unloaded. */
void signal_mask_leave(void);

#endif
