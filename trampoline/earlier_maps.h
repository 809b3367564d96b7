/* earlier_maps.h - makes perf forget what a process had mapped before exec.
 *
 * The kernel tells perf what a process maps, and not that exec has replaced all of it. perf 6.1 keeps
 * the old mappings, those of the parent included, until a new one covers them, and computes where an
 * object's unwind table is from the lowest address at which the process ever had that object
 * (tools/perf/util/unwind-libunwind-local.c, read_unwind_spec_eh_frame):
 *
 *     0x7f1000000000  libc of sh          <- taken for libc's address
 *     0x7f2000000000  libc of python3     all stacks that go through it end there
 *
 * So with env, timeout, sh or another interpreter before it, a program loses its stacks in libc in
 * half of the runs. A mapping that covers the old ones, for a moment, makes perf drop them. */
#ifndef PYPERF_EARLIER_MAPS_H
#define PYPERF_EARLIER_MAPS_H

/* Maps and unmaps what is free, once in a process and its forked children. Whatever fails is no reason
 * not to profile. Keeps errno. */
void earlier_maps_cover(void);

#endif
