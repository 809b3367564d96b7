#include "trampoline/base/fork_watch.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "trampoline/base/page.h"

static struct {
    volatile char *seen;      /* a page, whose first bytes are 1; NULL: the kernel cannot do it */
    pid_t pid[FORK_WATCHERS]; /* 0: has not begun to watch */
} watch;

static void begin(void)
{
    char *page =
        mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (madvise(page, page_size(), MADV_WIPEONFORK) == 0)
        watch.seen = page;
    else
        munmap(page, page_size());
}

bool fork_watch_is_child(enum fork_watcher watcher)
{
    pid_t known = __atomic_load_n(&watch.pid[watcher], __ATOMIC_ACQUIRE);
    if (known == 0)
        return false;
    return watch.seen != NULL ? watch.seen[watcher] == 0 : known != getpid();
}

void fork_watch_seen(enum fork_watcher watcher)
{
    static bool begun;
    if (!begun) {
        begun = true;
        begin();
    }
    if (watch.seen != NULL)
        watch.seen[watcher] = 1;
    __atomic_store_n(&watch.pid[watcher], getpid(), __ATOMIC_RELEASE);
}
