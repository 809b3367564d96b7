/* test_attach_target.c - memory of another process, here of this one. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/attach/target.h"
#include "support/support.h"
#include "trampoline/base/page.h"

static void look_at_memory(void)
{
    const struct target target = {.pid = getpid(), .process = -1};
    size_t size = page_size();
    char *memory = mmap(NULL, 3 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *read = malloc(3 * size);
    child_check(memory != MAP_FAILED && read != NULL, "%d", errno);
    child_check(munmap(memory + 2 * size, size) == 0, "%d", errno);
    memset(memory, 'm', 2 * size);
    uint64_t at = (uintptr_t)memory, last = at + 2 * size - 3;
    child_check(target_write(&target, at + 1, "written", 7), "%d", errno);
    child_check(memcmp(memory, "mwrittenm", 9) == 0, "%.9s", memory);
    child_check(target_read(&target, at, read, 2 * size) && memcmp(read, memory, 2 * size) == 0,
                "%d", errno);
    child_check(!target_read(&target, last, read, 4) && errno == EFAULT, "%d", errno);
    child_check(!target_read(&target, last + 3, read, 4) && errno == EFAULT, "%d", errno);
    child_check(!target_write(&target, last, "four", 4) && errno == EFAULT, "%d", errno);
    child_check(!target_read(&target, UINT64_MAX - 8, read, 4), "%d", errno);
    child_check(target_read_some(&target, at + 3, read, 3 * size) == 2 * size - 3, "%s", "");
    child_check(memcmp(read, memory + 3, 2 * size - 3) == 0, "%.9s", read);
    child_check(target_read_some(&target, at + 2 * size, read, 4) == 0, "%s", "");
    child_check(target_string(&target, at, read, 4) && strcmp(read, "mwr") == 0, "%.4s", read);
}

TEST_IN_CHILD(transfers)
{
    look_at_memory();
}

TEST_IN_CHILD(transfers_are_refused)
{
    child_forbid_transfers();
    look_at_memory();
}

TEST_IN_CHILD(nothing_is_permitted)
{
    const struct target target = {.pid = 1, .process = -1};
    uint64_t word;
    if (getuid() == 0 && setuid(65534) != 0)
        child_skip("setuid", errno);
    child_check(!target_word(&target, 0x400000, &word) && errno == EPERM, "%d", errno);
    child_forbid_transfers();
    child_check(!target_word(&target, 0x400000, &word) && errno == EPERM, "%d", errno);
}
