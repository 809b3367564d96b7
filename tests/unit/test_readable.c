/* test_readable.c - which memory can be read, and that asking changes no signal mask. */
#include <signal.h>

#include "support/guarded.h"
#include "trampoline/base/readable.h"

TEST(no_page)
{
    struct readable known = {{0}};
    ck_assert(!readable(&known, 0, 1));
    ck_assert(!readable(&known, 8, 8));
    ck_assert(!readable(&known, UINTPTR_MAX - 7, 8));
    ck_assert(!readable(&known, UINTPTR_MAX - 6, 8)); /* beyond the last byte */
    ck_assert(!readable(&known, (uintptr_t)1 << 63, 8));
}

TEST(to_the_last_byte)
{
    uintptr_t end = (uintptr_t)guarded_end();
    for (size_t size = 1; size <= GUARDED_SIZE; size += size < 32 ? 1 : 1021) {
        struct readable known = {{0}};
        ck_assert(readable(&known, end - size, size));
        ck_assert(!readable(&known, end - size + 1, size));
        ck_assert(!readable(&known, end - size + 1, size)); /* also when it knows the others */
    }
    for (size_t size = 1; size <= 16; size++) {
        struct readable known = {{0}};
        ck_assert(!readable(&known, end - GUARDED_SIZE - 1, size));
    }
}

TEST(remembers_pages_that_can_be_read_alone)
{
    struct readable known = {{0}};
    uintptr_t end = (uintptr_t)guarded_end();
    ck_assert(!readable(&known, end, 1));
    for (int i = 0; i < READABLE_KNOWN; i++)
        ck_assert_uint_eq(known.pages[i], 0);
    ck_assert(readable(&known, end - 1, 1));
    ck_assert_uint_eq(known.pages[(end / GUARDED_PAGE - 1) % READABLE_KNOWN], end - GUARDED_PAGE);
    ck_assert(!readable(&known, end, 1));
}

TEST(changes_no_signal_mask)
{
    sigset_t before, after;
    struct readable known = {{0}};
    uint8_t all[8];
    memset(all, 0xff, sizeof all);
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    sigemptyset(&before);
    sigaddset(&before, SIGUSR1);
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, &before, NULL), 0);
    ck_assert(readable(&known, guarded_copy(all, sizeof all), sizeof all));
    ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &after), 0);
    ck_assert_mem_eq(&before, &after, 8);
}
