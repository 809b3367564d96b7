/* code_table.h - a value for each code object, by its address, for 2.7, whose code objects have no
 * co_extra.
 *
 *   code object's address --> the table: any number of entries, in memory of its own
 *          |                                         | on the slow path of a frame
 *          | bits 7 to 22                            v
 *          '--------------> read by the hook: HOOK_CODES entries, one for each value of these bits
 *
 * 2.7 has objects of 128 bytes (debug builds: more) side by side in pools, so the code objects of 8
 * MiB of memory have different entries there. Two that share an entry replace each other from the
 * table. All of it under the interpreter's lock. code_values.c removes the entry of an object that
 * dies. */
#ifndef PYPERF_CODE_TABLE_H
#define PYPERF_CODE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

/* 0 when there is no entry. */
uint64_t code_table_get(uintptr_t code);

/* False when there is no memory; the code object then has no entry. */
bool code_table_set(uintptr_t code, uint64_t value);

/* Removes the entry of a code object that is about to be freed. */
void code_table_forget(uintptr_t code);

/* Copies the value of the table to the hook's entry, which may hold another code object's. The
 * first call allocates those entries; without them each frame takes the slow path. */
void code_table_show(uintptr_t code, uint64_t value);

#endif
