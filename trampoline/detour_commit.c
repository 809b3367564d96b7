/* detour_commit.c - detour_commit and detour_revert: replace a few bytes of running text.
 *
 * The bytes go in through /proc/self/mem (code_memory.h), so that
 *   - no page is writable at any time, let alone writable and executable,
 *   - the page stays executable for other threads that run in it,
 *   - the mapping stays unchanged: perf still sees the interpreter's file there,
 *   - a process that may not change protections (MDWE, seccomp) can do it.
 * Without /proc/self/mem, mprotect makes the page writable and not executable for a moment: only in
 * a process with one thread, because another thread could run in that page, and only if a test has
 * shown that the page can become executable again. */
#include <errno.h>
#include <link.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trampoline/base/debug.h"
#include "trampoline/base/page.h"
#include "trampoline/code_memory.h"
#include "trampoline/detour.h"

static bool write_through_proc(uintptr_t address, const uint8_t *expected, const uint8_t *bytes,
                               size_t length)
{
    size_t written = code_memory_write(address, bytes, length);
    /* The second of two pages may not be writable even so; then the first is restored. */
    if (written > 0 && written < length)
        code_memory_write(address, expected, written);
    return written == length;
}

static bool is_single_threaded(void)
{
    /* A directory's link count is 2 plus its subdirectories; /proc/self/task has one for each
     * thread. */
    struct stat status;
    return stat("/proc/self/task", &status) == 0 && status.st_nlink == 3;
}

/* Makes every core drop the instructions it has fetched (membarrier(2), SYNC_CORE); the threads
 * that will run the new bytes take the interpreter's lock after us, but a lock does not serialise
 * instruction fetch. Before Linux 4.16 only the guarantees of x86 remain. Only with other threads:
 * programs rarely make this call, so a strict seccomp filter kills a process that does. */
static void synchronise_cores(void)
{
    if (__libc_single_threaded || is_single_threaded())
        return;
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0) != 0) {
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
    }
}

/* The last byte of the data of the object whose code is at `site`. */
struct object_data {
    uintptr_t site;
    volatile uint8_t *byte; /* NULL: not found */
};

static int find_data(struct dl_phdr_info *info, size_t size, void *argument)
{
    struct object_data *data = argument;
    uintptr_t data_end = 0, relro_end = 0;
    bool has_site = false;
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_GNU_RELRO)
            relro_end = start + segment->p_memsz;
        if (segment->p_type != PT_LOAD)
            continue;
        has_site = has_site || data->site - start < segment->p_memsz;
        if ((segment->p_flags & PF_W) != 0 && segment->p_filesz > 0)
            data_end = start + segment->p_filesz;
    }
    if (has_site && data_end > 0 && page_down(data_end - 1) >= page_down(relro_end))
        data->byte = (volatile uint8_t *)(data_end - 1);
    return has_site;
}

/* Whether text that was made writable and changed could be made executable again. MDWE (prctl(2))
 * and seccomp may refuse that for all memory, SELinux (execmod) for modified private pages of a
 * file, by the file's label. So it is tried with a page of the same file that is never executed,
 * one of the object's data. With one thread nothing accesses it meanwhile. */
static bool may_become_executable_again(uintptr_t site)
{
    struct object_data data = {.site = site};
    if (dl_iterate_phdr(find_data, &data) == 0 || data.byte == NULL)
        return false;
    void *page = (void *)page_down((uintptr_t)data.byte);
    if (mprotect(page, page_size(), PROT_READ | PROT_WRITE) != 0) /* this must work to restore it */
        return false;
    *data.byte = *data.byte; /* makes it a modified private page */
    bool may = mprotect(page, page_size(), PROT_READ | PROT_EXEC) == 0;
    return mprotect(page, page_size(), PROT_READ | PROT_WRITE) == 0 && may;
}

/* All signals are blocked, because a handler could run in one of the pages. */
static bool write_through_mprotect(uintptr_t address, const uint8_t *bytes, size_t length)
{
    void *first = (void *)page_down(address);
    size_t span = page_up(address + length) - page_down(address);
    sigset_t all, before;
    sigfillset(&all);
    if (!is_single_threaded() || pthread_sigmask(SIG_BLOCK, &all, &before) != 0)
        return false;
    bool written =
        may_become_executable_again(address) && mprotect(first, span, PROT_READ | PROT_WRITE) == 0;
    if (written) {
        memcpy((void *)address, bytes, length);
        arch_synchronise(address, length);
        written = mprotect(first, span, PROT_READ | PROT_EXEC) == 0;
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return written;
}

static bool exchange(const struct detour_plan *plan, const uint8_t *expected, const uint8_t *bytes,
                     struct failure *why)
{
    int saved = errno;
    bool done = true;
    if (memcmp((const void *)plan->site, expected, DETOUR_JUMP_LENGTH) != 0)
        done = failure_set(why,
                           arch_is_breakpoint((const uint8_t *)plan->site) ? FAILURE_BREAKPOINT
                                                                           : FAILURE_TEXT_CHANGED,
                           0, "%p", (void *)plan->site);
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
    return exchange(plan, plan->original + plan->kept, plan->jump, why);
}

bool detour_revert(const struct detour_plan *plan, struct failure *why)
{
    return exchange(plan, plan->jump, plan->original + plan->kept, why);
}
