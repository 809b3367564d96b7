/* test_gate.c - many are inside, or one who is alone. */
#include "preload/sampler/gate.h"

#include <pthread.h>

#include "support/support.h"

TEST(one_after_the_other)
{
    ck_assert(gate_is_idle());
    ck_assert(gate_enter() && gate_enter());
    ck_assert(!gate_is_idle() && !gate_close());
    gate_leave();
    ck_assert(gate_close());
    ck_assert(!gate_enter() && !gate_enter());
    ck_assert(!gate_close());
    ck_assert(!gate_is_idle());
    gate_open();
    ck_assert(gate_enter() && !gate_close());
    gate_leave();
    gate_leave();
    ck_assert(gate_is_idle());
}

TEST(reset)
{
    ck_assert(gate_enter() && gate_close());
    gate_reset();
    ck_assert(gate_is_idle() && gate_enter() && gate_close());
}

enum { THREADS = 4, ROUNDS = 100000 };
static uint32_t inside, alone, closed;

/* Plain numbers: only those who are alone write. On a busy machine a thread may hardly ever be alone
 * beside others: the first one goes on longer. */
static void *enter_and_leave(void *first)
{
    int rounds = (under_valgrind() ? ROUNDS / 100 : ROUNDS) * (first != NULL ? 2 : 1);
    for (int i = 0; i < rounds; i++) {
        if (!gate_enter())
            continue;
        __atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
        ck_assert_uint_eq(__atomic_load_n(&alone, __ATOMIC_SEQ_CST), 0);
        if (i % 8 == 0 && gate_close()) {
            __atomic_store_n(&alone, 1, __ATOMIC_SEQ_CST);
            ck_assert_uint_eq(__atomic_load_n(&inside, __ATOMIC_SEQ_CST), 1);
            closed++;
            __atomic_store_n(&alone, 0, __ATOMIC_SEQ_CST);
            __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
            gate_open();
        } else {
            __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
        }
        gate_leave();
    }
    return first;
}

TEST(threads)
{
    pthread_t all[THREADS];
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&all[i], NULL, enter_and_leave, i == 0 ? &all : NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(all[i], NULL);
    ck_assert(gate_is_idle());
    ck_assert_uint_gt(closed, 10);
}
