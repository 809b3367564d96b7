/* sample_tree.h - stacks as paths in a tree, and code objects: each is written to the sample file
 * once.
 *
 * A frame is found by its parent and its value in a hash table of ids of records; the record itself
 * is compared, in the mapped file. Threads enter ids without a lock: the first to store into an
 * empty place has it. */
#ifndef PYPERF_SAMPLE_TREE_H
#define PYPERF_SAMPLE_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/python.h"
#include "trampoline/base/readable.h"

/* Memory for the tables; false without. */
bool sample_tree_start(void);
void sample_tree_finish(void); /* nothing, if there is none */

/* Addresses of machine code have another meaning from now on. For signal handlers. */
void sample_tree_forget(void);

/* Ids have another meaning: of another file. For signal handlers; changes errno. pre: no other
 * thread samples. */
void sample_tree_forget_all(void);

/* The id of a frame of machine code, or of Python, below `parent`; 0: there is no room. For signal
 * handlers. */
uint32_t sample_tree_native(uint32_t parent, uintptr_t address);
uint32_t sample_tree_python(uint32_t parent, uint32_t code, uint32_t instruction);

/* A number that changes when another code object takes the place of a freed one; 0: it is no code
 * object. `known`: where the object is to be tested before it is read, else NULL. For signal
 * handlers; changes errno. */
uint64_t sample_tree_mark(struct readable *known, const python_object *code);

/* The id of a code object with that mark, whose names and line table are copied when it is first
 * seen. 0: there is no room. For signal handlers; changes errno. */
uint32_t sample_tree_code(const python_object *code, uint64_t mark);

#endif
