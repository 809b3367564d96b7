/* text_write.c - detour_commit and detour_revert: a few bytes of running text, exchanged.
 *
 * The bytes go in through /proc/self/mem (code_memory.h), so that
 *   - no page is writable at any time, let alone writable and executable,
 *   - no other thread that runs in the same page ever finds it not executable,
 *   - the mapping stays what it was: perf goes on seeing the interpreter's file there,
 *   - a process that may not change protections (MDWE, seccomp) is no exception.
 * Where that cannot be done mprotect is left: writable and not executable for a moment. That is for
 * a process with one thread only, because another thread could be running in that very page. */
#include <errno.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trampoline/base/debug.h"
#include "trampoline/code_memory.h"
#include "trampoline/detour.h"

enum { PAGE = 4096 };

static bool write_through_proc(uintptr_t address, const uint8_t *expected, const uint8_t *bytes,
                               size_t length)
{
    size_t written = code_memory_write(address, bytes, length);
    /* The second of two pages can be one that even this does not write: then neither. */
    if (written > 0 && written < length)
        code_memory_write(address, expected, written);
    return written == length;
}

static bool is_single_threaded(void)
{
    /* A directory's link count is 2 and one for each directory in it: here, one for each thread. */
    struct stat status;
    return stat("/proc/self/task", &status) == 0 && status.st_nlink == 3;
}

/* Lets every core drop instructions it fetched before (membarrier(2), SYNC_CORE); the threads that
 * will run the new bytes got the interpreter's lock after us, but a lock does not serialise
 * instruction fetch. A kernel without it (before 4.16) leaves what x86 does by itself. Only where
 * there are other threads: programs do not make this call by themselves, so that a strict seccomp
 * filter kills whoever does. */
static void synchronise_cores(void)
{
    if (__libc_single_threaded || is_single_threaded())
        return;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) != 0) {
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
    }
}

/* Whether a page that was writable may become executable here: MDWE (prctl(2)), SELinux and seccomp
 * can refuse that, and then the text must not be made writable in the first place. */
static bool may_become_executable(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return false;
    bool may = mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0;
    munmap(page, PAGE);
    return may;
}

static bool write_through_mprotect(uintptr_t address, const uint8_t *bytes, size_t length)
{
    uintptr_t first = address & ~(uintptr_t)(PAGE - 1);
    size_t span = ((address + length - first) + PAGE - 1) & ~(size_t)(PAGE - 1);
    if (!is_single_threaded() || !may_become_executable() ||
        mprotect((void *)first, span, PROT_READ | PROT_WRITE) != 0)
        return false;
    memcpy((void *)address, bytes, length);
    return mprotect((void *)first, span, PROT_READ | PROT_EXEC) == 0;
}

static bool exchange(const struct detour_plan *plan, const uint8_t *expected, const uint8_t *bytes,
                     struct failure *why)
{
    int saved = errno;
    bool done = true;
    if (memcmp((const void *)plan->site, expected, DETOUR_JUMP_LENGTH) != 0)
        done = failure_set(why, FAILURE_TEXT_CHANGED, 0, "%p", (void *)plan->site);
    else if (!write_through_proc(plan->site, expected, bytes, DETOUR_JUMP_LENGTH) &&
             !write_through_mprotect(plan->site, bytes, DETOUR_JUMP_LENGTH))
        done = failure_set(why, FAILURE_TEXT_WRITE, errno, "%p", (void *)plan->site);
    else
        synchronise_cores();
    debug_log(detour, 1, "%s at %#lx: %s", bytes == plan->jump ? "jump" : "original bytes",
              (unsigned long)plan->site, done ? "written" : "cannot be written");
    errno = saved;
    return done;
}

bool detour_commit(const struct detour_plan *plan, struct failure *why)
{
    return exchange(plan, plan->original, plan->jump, why);
}

bool detour_revert(const struct detour_plan *plan, struct failure *why)
{
    return exchange(plan, plan->jump, plan->original, why);
}
