/* test_earlier_maps.c - which addresses are covered, and that nothing of it stays. The linker sends mmap
 * to __wrap_mmap (units.mk). */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "support/support.h"
#include "trampoline/earlier_maps.h"

#define GIB ((uintptr_t)1 << 30)

static struct {
    size_t count;
    uintptr_t start, end; /* of the longest */
} covered;

void *__real_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset);

void *__wrap_mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (protection & PROT_EXEC) {
        child_check(!(protection & PROT_WRITE), "%x", (unsigned)protection);
        covered.count++;
        if (length > covered.end - covered.start) {
            covered.start = (uintptr_t)address;
            covered.end = covered.start + length;
        }
    }
    return __real_mmap(address, length, protection, flags, fd, offset);
}

TEST_IN_CHILD(cover_once)
{
    static char before[1 << 20];
    int maps = open_maps(), on_stack;
    strncpy(before, read_maps(maps), sizeof before - 1);
    errno = EXFULL;
    earlier_maps_cover();
    child_check(errno == EXFULL, "%d", errno);
    child_check(strcmp(before, read_maps(maps)) == 0, "now %s", read_maps(maps));
    child_check(covered.count > 0, "%zu", covered.count);
    /* From where the kernel puts programs to where it puts libraries. */
    child_check(covered.end - covered.start > 1024 * GIB, "%zx", covered.end - covered.start);
    child_check(covered.end < (uintptr_t)&earlier_maps_cover || covered.end < (uintptr_t)&strlen,
                "%zx", covered.end);
    child_check(covered.end < (uintptr_t)&on_stack, "%zx", covered.end);
    size_t count = covered.count;
    earlier_maps_cover();
    child_check(covered.count == count, "%zu", covered.count);
}

TEST_IN_CHILD(cover_with_little_address_space)
{
    struct rlimit limit = {GIB, GIB};
    child_skip_under_valgrind();
    setrlimit(RLIMIT_AS, &limit);
    errno = EXFULL;
    earlier_maps_cover();
    child_check(errno == EXFULL, "%d", errno);
}

TEST_IN_CHILD(cover_while_memory_is_locked)
{
    /* The sanitizer has an mlockall of its own, which does nothing. */
    if (under_address_sanitizer() || mlockall(MCL_FUTURE) != 0)
        return;
    earlier_maps_cover();
    child_check(covered.count == 0, "%zu", covered.count);
}
