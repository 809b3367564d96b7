/* code_table.h - a value for each code object, by its address, where code objects have no place for
 * one (2.7).
 *
 *   code object's address --> the table: any number of entries, in memory of its own
 *          |                                         | on the slow way of a frame
 *          | bits 7 to 22                            v
 *          '--------------> what the hook reads: HOOK_CODES entries, one for each such number
 *
 * 2.7 has objects of 128 bytes (debug builds: more) side by side in pools, so the code objects of 8
 * MiB of memory have entries of their own there, and two that have not take turns, by way of the
 * table. All of it under the interpreter's lock. Who removes an object's entry when it dies is in
 * code_values.c. */
#ifndef PYPERF_CODE_TABLE_H
#define PYPERF_CODE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

/* 0 when there is no entry. */
uint64_t code_table_get(uintptr_t code);

/* False when there is no memory for one more; there is then no entry. */
bool code_table_set(uintptr_t code, uint64_t value);

/* The code object is about to be no more: nothing here knows the address afterwards. */
void code_table_forget(uintptr_t code);

/* Lets the hook see the value in the table, in the place of another code object's perhaps. The first
 * time, gets the memory for it; without, each frame goes the slow way. */
void code_table_show(uintptr_t code, uint64_t value);

#endif
