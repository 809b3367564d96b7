#include "trampoline/loader_lock.h"

#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "trampoline/base/libc_functions.h"
#include "trampoline/base/next_symbol.h"

static struct {
    pid_t process;               /* the process that looked for it */
    const pthread_mutex_t *lock; /* NULL: not found */
    bool free_after_fork;        /* musl's */
} found;

enum { CANDIDATES = 8 };

/* The locks that this thread holds while it walks the list: more than one inside a dlopen. */
struct search {
    uintptr_t loader; /* where it is loaded */
    pid_t thread;
    const pthread_mutex_t *locks[CANDIDATES];
    size_t count;
};

/* Read without synchronisation: another thread's lock may be seen half changed, which does not
 * match. */
static bool is_held_by(const pthread_mutex_t *lock, pid_t thread)
{
    return __atomic_load_n(&lock->__data.__lock, __ATOMIC_RELAXED) != 0 &&
           lock->__data.__count == 1 && lock->__data.__owner == thread &&
           lock->__data.__kind == PTHREAD_MUTEX_RECURSIVE_NP;
}

static void search_segment(struct search *search, uintptr_t start, size_t size)
{
    const size_t step = _Alignof(pthread_mutex_t);
    uintptr_t end = start + size;
    for (uintptr_t at = (start + step - 1) / step * step; at + sizeof(pthread_mutex_t) <= end;
         at += step) {
        const pthread_mutex_t *lock = (const pthread_mutex_t *)at;
        if (search->count < CANDIDATES && is_held_by(lock, search->thread))
            search->locks[search->count++] = lock;
    }
}

/* Called for each object; searches the loader's data. */
static int search_object(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    (void)size;
    if (info->dlpi_addr != search->loader)
        return 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && segment->p_flags & PF_W)
            search_segment(search, info->dlpi_addr + segment->p_vaddr, segment->p_memsz);
    }
    return 1;
}

/* The thread id that locks record. Without gettid: a process with profiling off makes only system
 * calls that CPython makes too. */
static pid_t this_thread(void)
{
    pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    pthread_mutex_lock(&lock);
    pid_t thread = lock.__data.__owner;
    pthread_mutex_unlock(&lock);
    return thread;
}

void loader_lock_find(void)
{
    if (found.process != 0)
        return;
    found.process = getpid();
    libc_functions_find(); /* which takes that lock: not in a child */
    if (libc_is_musl()) {
        found.free_after_fork = next_symbol("_Fork") != NULL;
        return;
    }
    struct search search = {.loader = getauxval(AT_BASE), .thread = this_thread()};
    if (search.loader == 0 || dl_iterate_phdr(search_object, &search) == 0)
        return;
    size_t given_back = 0;
    for (size_t i = 0; i < search.count; i++)
        if (!is_held_by(search.locks[i], search.thread)) {
            found.lock = search.locks[i];
            given_back++;
        }
    if (given_back != 1)
        found.lock = NULL;
}

void loader_lock_forked(void)
{
    if (found.free_after_fork)
        found.process = getpid();
}

bool loader_lock_is_usable(void)
{
    if (found.process == 0 || found.process == getpid())
        return true;
    return found.lock != NULL && __atomic_load_n(&found.lock->__data.__lock, __ATOMIC_RELAXED) == 0;
}
