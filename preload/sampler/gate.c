#include "preload/sampler/gate.h"

#include <stdint.h>

/* One word, so that to be alone and to close is one step. The order is sequentially consistent,
 * together with the switch that who has entered looks at (sampler.c). */
enum { CLOSED = 1 << 30 };

static uint32_t inside; /* how many, and CLOSED */

bool gate_enter(void)
{
    if ((__atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST) & CLOSED) == 0)
        return true;
    gate_leave();
    return false;
}

void gate_leave(void)
{
    __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
}

bool gate_close(void)
{
    uint32_t alone = 1;
    return __atomic_compare_exchange_n(&inside, &alone, alone | CLOSED, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

void gate_open(void)
{
    __atomic_fetch_and(&inside, ~(uint32_t)CLOSED, __ATOMIC_SEQ_CST);
}

bool gate_is_idle(void)
{
    return __atomic_load_n(&inside, __ATOMIC_SEQ_CST) == 0;
}

void gate_reset(void)
{
    __atomic_store_n(&inside, 0, __ATOMIC_SEQ_CST);
}
