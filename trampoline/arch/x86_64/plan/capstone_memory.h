/* capstone_memory.h - memory for capstone, which does not check some allocations (4.0: the register
 * tables, the index of instructions), so they must not fail. */
#ifndef PYPERF_CAPSTONE_MEMORY_H
#define PYPERF_CAPSTONE_MEMORY_H

/* From now on capstone allocates from a block in libpyperf-plan.so's data, which is gone when that
 * library is unloaded. Call it before cs_open. For one thread at a time. */
void capstone_memory_use(void);

#endif
