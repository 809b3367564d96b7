/* test_arch_thread.c - each thread has its own variables. In a program the linker knows where they are; what a loader
 * has decided is looked at by the integration tests, on glibc and musl, preloaded and attached. */
#include <pthread.h>
#include <string.h>

#include "arch_thread.h"
#include "support/support.h"

struct pair {
    uint64_t first, second;
};

ARCH_THREAD_VARIABLE(struct pair, pair)
ARCH_THREAD_VARIABLE(bool, flag)

TEST(variables_are_apart)
{
    *flag_here() = true;
    pair_here()->first = pair_here()->second = UINT64_MAX;
    ck_assert(*flag_here());
    *flag_here() = false;
    ck_assert_uint_eq(pair_here()->first, UINT64_MAX);
    ck_assert_uint_eq(pair_here()->second, UINT64_MAX);
    ck_assert_ptr_eq(pair_here(), pair_here());
}

static void *in_thread(void *of_other)
{
    bool fresh = pair_here() != of_other && pair_here()->first == 0 && pair_here()->second == 0;
    pair_here()->first = 1;
    return fresh && pair_here()->first == 1 ? of_other : NULL;
}

TEST(each_thread_has_its_own)
{
    pair_here()->first = 4711;
    for (int i = 0; i < 3; i++) {
        pthread_t thread;
        void *result;
        ck_assert_int_eq(pthread_create(&thread, NULL, in_thread, pair_here()), 0);
        ck_assert_int_eq(pthread_join(thread, &result), 0);
        ck_assert_ptr_eq(result, pair_here());
    }
    ck_assert_uint_eq(pair_here()->first, 4711);
}

/* There is no descriptor in a program, and the block is at the thread pointer. */
TEST(distance_is_constant_in_a_program)
{
    ck_assert(arch_thread_is_fixed());
    ck_assert_int_eq(arch_thread_find(), arch_thread_offset());
    ck_assert_int_eq(arch_thread_fixed, arch_thread_offset());
}
