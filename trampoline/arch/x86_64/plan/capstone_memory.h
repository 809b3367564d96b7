/* capstone_memory.h - memory for capstone, which uses some of it without asking whether it is there
 * (4.0: the register tables, the index of instructions), and so must always get it. */
#ifndef PYPERF_CAPSTONE_MEMORY_H
#define PYPERF_CAPSTONE_MEMORY_H

/* From now on capstone takes its memory from a block of libpyperf-plan.so's own data, which goes
 * when that is unloaded. To be called before cs_open. For one thread at a time. */
void capstone_memory_use(void);

#endif
