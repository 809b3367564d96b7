/* test_arch_process.c - a thread's block has the libc's variables, and it is known which it has not. */
#include <errno.h>

#include "arch_process.h"
#include "support/support.h"

TEST(errno_is_in_the_block)
{
    ck_assert(arch_thread_block_holds(&errno, sizeof errno));
}

TEST(variables_at_both_ends)
{
    const char *begin = (const char *)arch_thread_pointer() - ARCH_THREAD_BELOW;
    const char *end = (const char *)arch_thread_pointer() + ARCH_THREAD_ABOVE;
    ck_assert(arch_thread_block_holds(begin, 4));
    ck_assert(!arch_thread_block_holds(begin - 1, 4));
    ck_assert(arch_thread_block_holds(end - 4, 4));
    ck_assert(!arch_thread_block_holds(end - 3, 4));
    ck_assert(!arch_thread_block_holds(begin - (10 << 20), 4));
}
